"""Waiting in time that this process could have used: silence on an overloaded machine is no answer yet."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_BEAT_SECONDS = 0.05
_SHORTEST_SECONDS = 0.02
_MOST_TIMES = 20


class Patience:
    """
    Measures by a heartbeat how long the process is kept from running, and gives that time again.

    On an idle machine nothing is lost, and `within` is an ordinary time limit. The heart beats only
    while somebody waits.
    """

    def __init__(self) -> None:
        """Nothing is measured yet."""
        self._lost = 0.0
        self._waiting = 0

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """What `work` answers in so many seconds of running time; raises `TimeoutError`."""
        task = asyncio.ensure_future(work)
        with self._measured():
            before, left, most = self._lost, seconds, seconds * _MOST_TIMES
            while left > _SHORTEST_SECONDS and most > 0:
                done, _ = await asyncio.wait({task}, timeout=left)
                if done:
                    return task.result()
                most -= left
                before, left = self._lost, self._lost - before
        task.cancel()
        await asyncio.wait({task})
        raise TimeoutError

    @contextmanager
    def _measured(self) -> Iterator[None]:
        if self._waiting == 0:
            self._heart = asyncio.ensure_future(self._beat())
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._heart.cancel()

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT_SECONDS
            await asyncio.sleep(_BEAT_SECONDS)
            self._lost += max(0.0, loop.time() - due)
