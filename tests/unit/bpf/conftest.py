"""A BPF file system of these tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from twinway_testing import site


@pytest.fixture(scope="session")
def bpffs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Mounted for the session; each test takes a directory below it."""
    with site.bpf_file_system(tmp_path_factory.mktemp("unit") / "bpf") as folder:
        yield folder


@pytest.fixture
def pins_root(bpffs: Path, request: pytest.FixtureRequest) -> Path:
    """Where this test may pin; not made yet."""
    return bpffs / f"t{abs(hash(request.node.nodeid)):x}"
