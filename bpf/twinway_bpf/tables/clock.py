"""The programs' clock (kernel/idle.h), in units of about a second."""

from __future__ import annotations

import time

UNIT_SECONDS = 2**30 / 1e9

_MONOTONIC_COARSE = 6  # Source: include/uapi/linux/time.h


def now() -> int:
    """The present time, as ct_now() reads it. Other clocks may be ahead of it."""
    return time.clock_gettime_ns(_MONOTONIC_COARSE) >> 30
