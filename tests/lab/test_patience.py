"""Time limits that count only the time in which the process could run."""

from __future__ import annotations

import asyncio
import time

import pytest

from twinway_lab.probe.patience import Patience


async def measured(seconds: float, work: float, busy: float) -> float:
    """How long it took to do `work` seconds of waiting in `seconds`, where the process is kept busy for some."""
    begun = time.monotonic()
    asyncio.get_running_loop().call_later(0.01, time.sleep, busy)
    await Patience().within(seconds, asyncio.sleep(work))
    return time.monotonic() - begun


def test_an_idle_process_waits_as_long_as_it_was_told() -> None:
    """And no longer."""
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(measured(0.3, work=60, busy=0))
    assert 0.3 <= time.monotonic() - begun < 3


def test_time_in_which_it_could_not_run_is_given_again() -> None:
    """Work that comes after the limit, but within it of running time, is in time."""
    assert asyncio.run(measured(0.5, work=0.7, busy=0.6)) >= 0.6
