"""Which drivers of this tree the suite tests, and on which pod devices: adding a driver adds one line."""

from __future__ import annotations

DRIVERS: dict[str, tuple[str, ...]] = {
    "tc": ("veth", "macvlan"),
    "sockops": ("veth", "macvlan"),
}


def pytest_twinway_drivers() -> dict[str, tuple[str, ...]]:
    """What to test where the command line names no driver."""
    return DRIVERS
