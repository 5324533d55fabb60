"""Which kernels a run is about, and the kernels themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernels import table
from tests.kernels.fetch import Unpacked, fetch

from twinway_bpf import programs
from twinway_bpf.loader import ensure_bundle

ROWS = {kernel.name: kernel for kernel in table.kernels(table.TABLE.read_text())}


def chosen_kernels() -> tuple[str, ...]:
    """Names of the rows that KERNELS= chooses; none chooses all."""
    return table.chosen(os.environ.get("KERNELS", ""), ROWS, "KERNELS")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `kernel_name` runs for every kernel that is chosen."""
    if "kernel_name" in metafunc.fixturenames:
        metafunc.parametrize("kernel_name", chosen_kernels(), scope="session")


@pytest.fixture(scope="session")
def unpacked() -> Callable[[str], Unpacked]:
    """The kernel of a row, brought when first asked for."""
    return lambda name: fetch(ROWS[name], table.cache(), table.system_mirror())


@pytest.fixture(scope="session")
def kernel(kernel_name: str, unpacked: Callable[[str], Unpacked]) -> Unpacked:
    """One of the kernels that are chosen."""
    return unpacked(kernel_name)


@pytest.fixture(scope="session")
def any_kernel(unpacked: Callable[[str], Unpacked]) -> Unpacked:
    """The last of the kernels that are chosen, for what is true of the harness and not of a kernel."""
    return unpacked(chosen_kernels()[-1])


@pytest.fixture(scope="session")
def bundles() -> Path:
    """A folder with the bundles of all programs, compiled on this machine; guests can read it."""
    folder = table.cache().parent / "bundles"
    for source in programs.SOURCES:
        ensure_bundle(source, folder)
    return folder
