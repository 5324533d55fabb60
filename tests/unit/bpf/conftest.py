"""A BPF file system for these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from twinway_testing import site


@pytest.fixture(scope="session")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A BPF file system that is mounted for the session. Each test uses a directory below it."""
    with site.bpf_file_system(tmp_path_factory.mktemp("unit") / "bpf") as folder:
        yield folder


@pytest.fixture
def pins_root(bpffs: Path, request: pytest.FixtureRequest) -> Path:
    """A directory for this test's pins, which does not exist yet."""
    return bpffs / f"t{abs(hash(request.node.nodeid)):x}"
