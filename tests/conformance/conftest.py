"""Which drivers of this tree the suite tests, and on which pod devices: adding a driver adds one line."""

from __future__ import annotations

import os

DRIVERS: dict[str, tuple[str, ...]] = {
    "tc": ("veth", "macvlan"),
    "sockops": ("veth", "macvlan"),
}

SLICE: dict[str, tuple[str, ...]] = {"tc": ("veth",)}
"""What every run of the tests takes, for time; `make conformance` takes all."""


def pytest_twinway_drivers() -> dict[str, tuple[str, ...]]:
    """What to test where the command line names no driver."""
    return DRIVERS if os.environ.get("CONFORMANCE") == "all" else SLICE
