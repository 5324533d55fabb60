"""How drivers that were in charge before leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import FakeDriver, FakeOptions, fake_context
from twinway.driver import Driver
from twinway.errors import ConfigError, DriverError
from twinway.predecessors import Predecessors


class Site:
    """A folder of trace files, and the drivers that they stand for."""

    def __init__(self, folder: Path, *traces: str) -> None:
        self.folder = folder / "drivers"
        self.folder.mkdir()
        for name in traces:
            (self.folder / name).touch()
        self.built: dict[str, FakeDriver] = {}

    def build(self, name: str) -> Driver:
        """A driver whose kernel still holds something."""
        if name == "lost":
            raise ConfigError("driver lost: not installed; installed are fake")
        driver = FakeDriver(fake_context(self.folder), FakeOptions())
        driver.kernel.entries["Service shop/web"] = "old"
        driver.connections = 1
        self.built[name] = driver
        return driver

    @property
    def traces(self) -> list[str]:
        """Names of the trace files."""
        return sorted(path.name for path in self.folder.iterdir())


def test_current_driver_leaves_a_trace(tmp_path: Path) -> None:
    """The driver in charge is marked, and is no predecessor of itself."""
    site = Site(tmp_path, "tc")
    predecessors = Predecessors(site.folder, "tc", site.build)
    predecessors.mark()
    assert (predecessors.advance(), site.built, site.traces) == ((), {}, ["tc"])


def test_leaves_when_no_connection_needs_it(tmp_path: Path) -> None:
    """A predecessor stays while connections need it; then its traces go, in the kernel and here."""
    site = Site(tmp_path, "old")
    predecessors = Predecessors(site.folder, "tc", site.build)
    assert predecessors.advance() == ("old",)
    driver = site.built["old"]
    assert driver.kernel.entries
    driver.connections = 0
    assert predecessors.advance() == ()
    assert (driver.kernel.entries, driver.kernel.attached, site.traces) == ({}, False, [])


def test_failure_to_leave_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A predecessor that fails to leave is reported, kept, and asked again."""
    site = Site(tmp_path, "old")
    predecessors = Predecessors(site.folder, "tc", site.build)
    driver = site.built["old"]

    def fail() -> bool:
        raise DriverError("bpffs: is not mounted: mount it")

    driver.retire = fail  # type: ignore[method-assign]
    assert predecessors.advance() == ("old",)
    assert "bpffs: is not mounted" in caplog.text
    driver.retire = lambda: True  # type: ignore[method-assign]
    assert predecessors.advance() == ()


def test_driver_that_is_not_installed_any_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A trace whose driver is gone is reported with what to do, and kept for when it is back."""
    site = Site(tmp_path, "lost", "old")
    predecessors = Predecessors(site.folder, "tc", site.build)
    assert predecessors.advance() == ("old",)
    assert "driver=lost" in caplog.text
    assert "lost" in site.traces
