"""Threads that wait for each other, until the source is stopped."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition


class Stopped(Exception):  # noqa: N818 (the end of the work, not a mistake)
    """The source is being stopped."""


class Waiting:
    """State that threads wait for. A subclass changes it and notifies with `_condition` held."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._stopped = False

    def stop(self) -> None:
        """Raise `Stopped` in every thread that waits, now or later."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def _wait(self, holds: Callable[[], object]) -> None:
        """Wait until `holds()` is true, with `_condition` held. Raises `Stopped`."""
        self._condition.wait_for(lambda: self._stopped or holds())
        if self._stopped:
            raise Stopped
