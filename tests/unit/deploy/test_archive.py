"""The image's archive: an OCI layout, the same for the same files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.scripts import script

archive: Any = script("image/archive.py")
IMAGE = archive.Image("localhost/twinway", "0.1.0", "abc", 1_700_000_000)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return filled(tmp_path / "root")


def filled(folder: Path) -> Path:
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "etc").mkdir()
    (folder / "bin").symlink_to("usr/bin")
    (folder / "usr/bin/tool").write_text("#!/bin/sh\n")
    (folder / "usr/bin/tool").chmod(0o755)
    os.link(folder / "usr/bin/tool", folder / "usr/bin/again")
    (folder / "etc/long-" / ("n" * 120)).mkdir(parents=True)
    return folder


def blobs(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        contents = {entry.name: tar.extractfile(entry) for entry in tar}
        return {name: file.read() for name, file in contents.items() if file}


def test_two_builds_give_the_same_bytes(root: Path, tmp_path: Path) -> None:
    """Times, owners and the order in which files were made are not in it."""
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    digest = archive.write(root, first, IMAGE)
    again = filled(tmp_path / "elsewhere")
    os.utime(again / "usr/bin/tool", (1, 1))
    os.chown(again / "etc", 1000, 1000)
    assert archive.write(again, second, IMAGE) == digest
    assert first.read_bytes() == second.read_bytes()


def test_another_file_gives_another_digest(root: Path, tmp_path: Path) -> None:
    """So that equal digests mean equal content."""
    digest = archive.write(root, tmp_path / "first.tar", IMAGE)
    (root / "etc/hosts").write_text("")
    assert archive.write(root, tmp_path / "second.tar", IMAGE) != digest


def test_every_reference_leads_to_its_content(root: Path, tmp_path: Path) -> None:
    """From the index to the manifest, the config and the layer, by digest and size."""
    archive.write(root, tmp_path / "image.tar", IMAGE)
    found = blobs(tmp_path / "image.tar")

    def follow(descriptor: dict[str, Any]) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        data = found[f"blobs/{algorithm}/{digest}"]
        assert hashlib.sha256(data).hexdigest() == digest
        assert len(data) == descriptor["size"]
        return data

    (described,) = json.loads(found["index.json"])["manifests"]
    assert described["annotations"]["io.containerd.image.name"] == "localhost/twinway:0.1.0"
    manifest = json.loads(follow(described))
    config = json.loads(follow(manifest["config"]))
    (layer,) = map(follow, manifest["layers"])
    with tarfile.open(fileobj=io.BytesIO(layer), mode="r:gz") as tar:
        entries = {entry.name: entry for entry in tar}
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 1_700_000_000)}
    assert entries["bin"].linkname == "usr/bin"
    assert entries["usr/bin/again"].isreg()
    assert entries["usr/bin/again"].size == entries["usr/bin/tool"].size == 10
    assert config["config"]["Entrypoint"] == ["/usr/bin/twinway"]
    assert config["config"]["Labels"]["org.opencontainers.image.revision"] == "abc"
