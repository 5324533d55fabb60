"""Results of guests: kept as they come, and never lost in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.kernels import report
from tests.kernels.fleet import Case, Fleet

from twinway_testing.machines.table import HarnessError

CHECKS = [
    {"name": "TCP", "family": 4, "fault": None},
    {"name": "TCP", "family": 6, "fault": "nothing came"},
    {"name": "lab up", "family": None, "fault": None},
]


def gone(name: str):
    """A kernel that cannot be had."""
    raise HarnessError(f"kernel {name} went up in smoke")


@pytest.fixture
def fleet(tmp_path: Path):
    """One guest that is lost, after it had written one of its two results down."""
    results = tmp_path / "5.10/shared/results"
    results.mkdir(parents=True)
    (results / "tc-ipvlan.json").write_text(json.dumps({"checks": CHECKS, "seconds": {"up": 20.4}}))
    made = Fleet(tmp_path, ["tc/ipvlan", "sockops/ipvlan"])
    made.start("5.10", gone, tmp_path)
    yield made
    made.close()


def test_a_result_outlives_its_guest(fleet: Fleet):
    """What was written down before the guest was lost counts, check by check."""
    case = fleet.result("5.10", "tc", "ipvlan")
    assert case.faults == ["TCP, IPv6: nothing came"]
    assert [case.count(family) for family in (4, 6, None)] == [(1, 1), (0, 1), (1, 1)]


def test_a_case_without_result_is_an_error(fleet: Fleet):
    """A case that its guest took with it raises what befell the guest, and does not pass."""
    with pytest.raises(HarnessError, match=r"kernel 5\.10 went up in smoke"):
        fleet.result("5.10", "sockops", "ipvlan")


def test_the_report_counts_what_holds(fleet: Fleet):
    """The terminal's table and the page say the same of each case."""
    fleet.result("5.10", "tc", "ipvlan")
    head, row, starts, prepared = report.lines(fleet, {"bundles": 2.0, "kernel 5.10": 9.6})
    assert head.split() == list(report.COLUMNS)
    assert row.split() == ["5.10", "tc", "ipvlan", "1/1", "0/1", "1/1", "up", "20"]
    assert starts == "  ".join(report.STARTS)
    assert prepared == "prepared: bundles 2 s, kernel 5.10 10 s"  # and a guest that was lost has no times
    assert "| 5.10 | tc | ipvlan | 1/1 | 0/1 | 1/1 |" in report.page(fleet)


def test_starts_of_agents_are_reported(fleet: Fleet, tmp_path: Path):
    """What a guest measured before it was lost stands in both; what it broke off counts as none."""
    file = tmp_path / "5.10/shared/results/agents.json"
    taken = {"imports": 7.55, "other": 1.449}
    file.write_text(json.dumps({"tc": {"first": taken, "again": taken}}))
    assert any(line.split() == ["5.10", "tc", *["7.5", "1.4"] * 2] for line in report.lines(fleet, {}))
    assert "| 5.10 | tc | 7.5 | 1.4 | 7.5 | 1.4 |" in report.page(fleet)
    file.write_text("")
    assert fleet.starts("5.10") == {}


def test_the_page_tells_what_a_kernel_lacks(fleet: Fleet, tmp_path: Path):
    """A missing feature is listed once, with what happens instead and the drivers that would use it."""
    need = {"feature": "tcx", "present": False, "required": False, "without": "clsact is used"}
    drivers = [{"driver": name, "requirements": [need, need | {"present": True}]} for name in ("tc", "sockops")]
    (tmp_path / "5.10/shared/results/check.json").write_text(json.dumps({"drivers": drivers}))
    fleet.result("5.10", "tc", "ipvlan")
    assert "\n- tcx: clsact is used (tc, sockops)\n" in report.page(fleet)


def test_a_case_names_family_and_check():
    """A fault of the lab itself has no family in its line."""
    case = Case("k", "d", "v", ({"name": "lab up", "family": None, "fault": "exit 1"},), {})
    assert case.faults == ["lab up: exit 1"]
