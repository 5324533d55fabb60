"""Which drivers of this tree the suite tests, and on which pod devices: adding a driver adds one line."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

DRIVERS: dict[str, tuple[str, ...]] = {
    "tc": ("veth", "macvlan"),
    "sockops": ("veth", "macvlan"),
}

WHOLE = "veth"
"""The device on which every run of the tests takes all rows."""
ELSEWHERE = (
    "test_services_reach",
    "test_services_endpoints",
    "test_policy_isolation",
    "test_policy_exempt",
    "test_attacks_packets",
    "test_fuzz",
)
"""What it takes on others, for time: there packets come and go in another way. `make conformance` takes all."""


def pytest_twinway_drivers() -> Mapping[str, tuple[str, ...]]:
    """What to test where the command line names no driver."""
    return DRIVERS


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a slice, where neither a driver nor the whole is asked for."""
    if _asked_for(config):
        return
    left_out = [item for item in items if _device(item) not in (None, WHOLE) and item.path.stem not in ELSEWHERE]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Say what was chosen."""
    if _asked_for(config) or not any(_device(item) for item in items):
        return []
    words = ", ".join(name.removeprefix("test_") for name in ELSEWHERE)
    return [
        f"conformance, a slice: {' and '.join(DRIVERS)}, every row on {WHOLE}, elsewhere {words}; "
        "all of it: make conformance"
    ]


def _asked_for(config: pytest.Config) -> bool:
    return os.environ.get("CONFORMANCE") == "all" or bool(config.getoption("--driver"))


def _device(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    target = call.params.get("target") if call is not None else None
    return target.device if target is not None else None
