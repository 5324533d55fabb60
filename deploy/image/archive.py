"""
Write a root file system as an OCI image in one tar file, the same bytes for the same files.

    archive.py ROOTFS OUT --name NAME --version VERSION [--revision COMMIT]

Entries are sorted, belong to root, and have the time of SOURCE_DATE_EPOCH (the commit's, 0 without it).
Containerd, Docker and Podman load the result: `ctr images import`, `docker load`, `podman load`.
Source: OCI image format specification 1.1.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""The names that the specification has for what Python calls a machine."""

CONFIG = {
    "Entrypoint": ["/usr/bin/twinway"],
    "Cmd": ["agent"],
    "Env": ["PATH=/usr/sbin:/usr/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"],
    "WorkingDir": "/",
}


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says of itself. `epoch`: seconds since 1970 of all its times."""

    name: str
    version: str
    revision: str
    epoch: int

    @property
    def reference(self) -> str:
        """The name by which a runtime knows it."""
        return f"{self.name}:{self.version}"

    @property
    def created(self) -> str:
        """The time of the image, as the specification writes it."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def labels(self) -> dict[str, str]:
        """The labels of the image."""
        found = {"title": "twinway", "version": self.version, "revision": self.revision, "licenses": "Apache-2.0"}
        return {f"org.opencontainers.image.{key}": value for key, value in found.items() if value}


def layer(root: Path, epoch: int) -> bytes:
    """A tar of everything below `root`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(_below(root)):
            entry = tar.gettarinfo(path, str(path.relative_to(root)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            # gettarinfo makes links of files that it met before, which depends on the builder's file system
            if entry.islnk():
                entry.type, entry.size = tarfile.REGTYPE, path.stat().st_size
            if entry.isreg():
                with path.open("rb") as content:
                    tar.addfile(entry, content)
            else:
                tar.addfile(entry)
    return buffer.getvalue()


def write(root: Path, out: Path, image: Image) -> str:
    """Write the archive; the digest of the image's manifest."""
    content = layer(root, image.epoch)
    packed = gzip.compress(content, 9, mtime=0)
    blobs: dict[str, bytes] = {}
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": image.created,
        "config": {**CONFIG, "Labels": image.labels()},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(content).hexdigest()}"]},
        "history": [{"created": image.created, "created_by": "deploy/image/rootfs.sh"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(blobs, _json(config), "config.v1+json"),
        "layers": [_blob(blobs, packed, "layer.v1.tar+gzip")],
    }
    described = _blob(blobs, _json(manifest), "manifest.v1+json")
    names = {"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": image.version}
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [{**described, "annotations": names}]}),
        **{f"blobs/sha256/{digest}": data for digest, data in sorted(blobs.items())},
    }
    _write_tar(out, files, image.epoch)
    return str(described["digest"])


def _below(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))


def _blob(blobs: dict[str, bytes], data: bytes, kind: str) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _write_tar(out: Path, files: Mapping[str, bytes], epoch: int) -> None:
    temporary = out.with_name(f".{out.name}.part")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, epoch
            tar.addfile(entry, io.BytesIO(data))
    temporary.replace(out)


def main() -> int:
    """Write the archive that the arguments name, and print its name, digest and size."""
    parser = argparse.ArgumentParser(description="Write a root file system as an OCI image.")
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--revision", default="")
    given = parser.parse_args()
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    image = Image(given.name, given.version, given.revision, epoch)
    digest = write(given.root, given.out, image)
    size = given.out.stat().st_size
    sys.stdout.write(f"image: {image.reference}: {given.out}: {size / 1e6:.1f} MB, manifest {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
