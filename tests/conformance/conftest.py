"""The drivers of this tree that the suite tests, and the pod devices that it tests them on."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

DRIVERS: dict[str, tuple[str, ...]] = {
    "tc": ("veth", "macvlan"),
    "sockops": ("veth", "macvlan"),
}

WHOLE = "veth"
"""The device on which every run takes all rows."""
ELSEWHERE = (
    "test_services_reach",
    "test_services_endpoints",
    "test_policy_isolation",
    "test_policy_exempt",
    "test_attacks_packets",
    "test_fuzz",
)
"""
The modules that a run takes on other devices, where packets take another path.

The others are left out to save time; `make conformance` takes all.
"""


def pytest_twinway_drivers() -> Mapping[str, tuple[str, ...]]:
    """The drivers to test where the command line names none."""
    return DRIVERS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a part of the suite, unless a driver or the whole suite is asked for."""
    if _asked_for(config):
        return
    left_out = [item for item in items if _device(item) not in (None, WHOLE) and item.path.stem not in ELSEWHERE]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Print which part was taken."""
    if _asked_for(config) or not any(_device(item) for item in items):
        return []
    words = ", ".join(name.removeprefix("test_") for name in ELSEWHERE)
    return [
        f"conformance, in part: {' and '.join(DRIVERS)}, every row on {WHOLE}, on other devices {words}; "
        "the whole: make conformance"
    ]


def _asked_for(config: pytest.Config) -> bool:
    return os.environ.get("CONFORMANCE") == "all" or bool(config.getoption("--driver"))


def _device(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    target = call.params.get("target") if call is not None else None
    return target.device if target is not None else None
