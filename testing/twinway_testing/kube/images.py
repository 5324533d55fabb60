"""
Container images made by hand, without a registry.

Everything that the e2e tests run lives in one layer (agnhost, busybox, curl, dig, nc, ip, and the
shared libraries that they need); the images differ in name and entry point only. Their names are
those that Kubernetes asks for. Source: OCI image layout 1.0.0.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from twinway.errors import TwinwayError

E2E = "registry.k8s.io/e2e-test-images/"
PAUSE = "registry.k8s.io/pause:3.10.2"
COREDNS = "registry.k8s.io/coredns/coredns:local"

Entry = tuple[list[str], list[str]]
"""An image's entry point, and its default arguments."""

TOOLS: dict[str, Entry] = {
    E2E + "agnhost:2.63.0": (["/agnhost"], ["pause"]),
    E2E + "agnhost:2.55": (["/agnhost"], ["pause"]),
    E2E + "agnhost:2.45": (["/agnhost"], ["pause"]),
    E2E + "busybox:1.37.0-1": ([], ["sh"]),
    E2E + "nginx:1.15-4": (["/agnhost", "test-webserver"], []),
    E2E + "nginx:1.27-0": (["/agnhost", "test-webserver"], []),
    E2E + "glibc-dns-testing:2.0.0": ([], ["sleep", "infinity"]),
    E2E + "regression-issue-74839:1.4": (["/regression-issue-74839"], []),
    "registry.k8s.io/build-image/distroless-iptables:v0.9.6": ([], ["sh"]),
    COREDNS: (["/coredns"], []),
}

COMMANDS = (
    *("bash", "dash", "getent", "curl", "wget", "nc.openbsd", "dig", "host", "nslookup"),
    *("conntrack", "ip", "ss", "nft", "iptables-nft", "ip6tables-nft"),
)

ETC = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
LINKS = {
    "bin/sh": "/usr/bin/dash",
    "bin/bash": "/usr/bin/bash",
    "bin/nc": "/usr/bin/nc.openbsd",
    "usr/sbin/iptables": "iptables-nft",
    "usr/sbin/ip6tables": "ip6tables-nft",
}


ARCHIVES = ("pause.tar", "tools.tar")


def build(binaries: Path, out: Path) -> None:
    """Write the image archives, from compiled programs and those of this machine."""
    out.mkdir(parents=True, exist_ok=True)
    _archive(out / "tools.tar", _tools_layer(binaries), TOOLS)
    _archive(out / "pause.tar", _layer({"pause": binaries / "pause"}, {}, {}), {PAUSE: (["/pause"], [])})


def _tools_layer(binaries: Path) -> bytes:
    files = {name: binaries / name for name in ("agnhost", "coredns", "regression-issue-74839")}
    files |= _certificate(binaries)
    files["bin/busybox"] = _installed("busybox")
    for command in COMMANDS:
        program = _installed(command)
        home = "usr/sbin" if program.parent.name == "sbin" else "usr/bin"
        files[f"{home}/{command}"] = program
        files |= {str(library).lstrip("/"): library for library in _libraries(program)}
    own = set(COMMANDS) | {Path(link).name for link in LINKS}
    applets = subprocess.check_output(["busybox", "--list"], text=True).split()
    links = {f"bin/{a}": "busybox" for a in applets if a not in own | {"busybox"}} | LINKS
    return _layer(files, links, ETC)


def _installed(command: str) -> Path:
    program = shutil.which(command)
    if program is None:
        raise TwinwayError(f"kube: {command} is missing: install the packages of tools/apt/cluster.txt")
    return Path(program)


def _certificate(out: Path) -> dict[str, Path]:
    # agnhost's porter looks for these in its working directory.
    files = {name: out / name for name in ("localhost.crt", "localhost.key")}
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=localhost")
    written = ("-out", str(files["localhost.crt"]), "-keyout", str(files["localhost.key"]))
    subprocess.run(["openssl", *new, *written], check=True, capture_output=True)
    return files


def _libraries(program: Path) -> list[Path]:
    # Shared libraries and the loader, by the names that the program asks for; none for a static one.
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(word) for line in listing.splitlines() for word in line.split() if word[0] == "/"]


def _layer(files: dict[str, Path], links: dict[str, str], texts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in (("tmp", 0o1777), ("uploads", 0o777), ("root", 0o755), ("var/run", 0o755)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        for name, source in files.items():
            data = source.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        for name, target in links.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _archive(path: Path, layer: bytes, images: dict[str, Entry]) -> None:
    # One manifest an image; all share the layer.
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, media: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}

    layer_ref = blob(layer, "layer.v1.tar")
    index = []
    for name, (entrypoint, arguments) in images.items():
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": entrypoint,
                "Cmd": arguments,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [layer_ref["digest"]]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(_json(config), "config.v1+json"),
            "layers": [layer_ref],
        }
        index.append(
            blob(_json(manifest), "manifest.v1+json") | {"annotations": {"io.containerd.image.name": name}}
        )
    with tarfile.open(path, "w") as tar:
        contents = {
            "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
            "index.json": _json({"schemaVersion": 2, "manifests": index}),
        }
        contents |= {f"blobs/sha256/{digest}": data for digest, data in blobs.items()}
        for name, data in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
