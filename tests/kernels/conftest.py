"""The kernels, drivers and devices of a run, its guests, and its report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from compileall import compile_dir
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from tests.kernels import report
from tests.kernels.fleet import Fleet

from twinway.driver import ENTRY_POINTS
from twinway_bpf.load import programs
from twinway_bpf.load.loader import ensure_bundle
from twinway_testing.machines import table
from twinway_testing.machines.fetch import Unpacked, fetch

ROWS = {kernel.name: kernel for kernel in table.kernels(table.TABLE.read_text())}
DRIVERS = sorted(point.name for point in entry_points(group=ENTRY_POINTS))
DEVICES = ("ipvlan", "macvlan", "veth")
collect_ignore = [] if os.environ.get("SUITE") else ["test_suite.py"]
FLEET = pytest.StashKey[Fleet]()
PREPARED = pytest.StashKey[dict[str, float]]()


def _chosen(variable: str, known: list[str]) -> tuple[str, ...]:
    return table.chosen(os.environ.get(variable, ""), known, variable)


EVERYTHING = {"kernel_name": tuple(ROWS), "driver": tuple(DRIVERS), "device": DEVICES}
CHOICES = {
    "kernel_name": _chosen("KERNELS", list(ROWS)),
    "driver": _chosen("DRIVERS", DRIVERS),
    "device": _chosen("DEVICES", list(DEVICES)),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a kernel, driver or device once for each that is chosen."""
    for name, values in CHOICES.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, scope="session")


@contextmanager
def timed(config: pytest.Config, what: str) -> Iterator[None]:
    """Measure the block, for the line about preparation in the report of the run."""
    begin = time.monotonic()
    yield
    config.stash.setdefault(PREPARED, {})[what] = time.monotonic() - begin


@pytest.fixture(scope="session")
def unpacked(pytestconfig: pytest.Config) -> Callable[[str], Unpacked]:
    """A function that returns the kernel of a row, and fetches it at the first call."""

    @cache
    def bring(name: str) -> Unpacked:
        with timed(pytestconfig, f"kernel {name}"):
            return fetch(ROWS[name], table.cache(), table.system_mirror())

    return bring


@pytest.fixture(scope="session")
def kernel(kernel_name: str, unpacked: Callable[[str], Unpacked]) -> Unpacked:
    """One of the chosen kernels."""
    return unpacked(kernel_name)


@pytest.fixture(scope="session")
def any_kernel(unpacked: Callable[[str], Unpacked]) -> Unpacked:
    """The last of the chosen kernels, for tests of the harness that need just one."""
    return unpacked(CHOICES["kernel_name"][-1])


@pytest.fixture(scope="session")
def bundles(pytestconfig: pytest.Config) -> Path:
    """A folder with the bundles of all programs, compiled on this machine. Guests can read it."""
    folder = table.cache().parent / "bundles"
    with timed(pytestconfig, "bundles"):
        for source in programs.SOURCES:
            ensure_bundle(source, folder)
    return folder


@pytest.fixture(scope="session")
def fleet(
    request: pytest.FixtureRequest,
    unpacked: Callable[[str], Unpacked],
    bundles: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """Guests for all chosen kernels. Each runs all cases, and starts at once."""
    words = [f"{driver}/{device}" for device in CHOICES["device"] for driver in CHOICES["driver"]]
    with timed(request.config, "byte code"):
        for folder in ("core", "bpf", "drivers", "lab", "cni"):
            compile_dir(table.TREE / folder, quiet=2)  # once here, not in every guest
    made = Fleet(tmp_path_factory.mktemp("smoke"), words)
    request.config.stash[FLEET] = made
    for name in CHOICES["kernel_name"]:
        made.start(name, unpacked, bundles)
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """
    Print the report of the run, and write it as a page to the file that PAGE= names.

    A run of only some kernels, drivers or devices updates the page's rows of the conformance suite alone.
    """
    made = config.stash.get(FLEET, None)
    if made is not None:
        terminalreporter.section("other kernels")
        prepared = config.stash.setdefault(PREPARED, {})
        for line in report.lines(made, prepared):
            terminalreporter.write_line(line)
    if os.environ.get("PAGE"):
        page, whole = Path(os.environ["PAGE"]), made if CHOICES == EVERYTHING else None
        before = page.read_text(encoding="utf-8") if page.is_file() else ""
        page.write_text(report.page(whole) if whole else report.with_suite(before), encoding="utf-8")
