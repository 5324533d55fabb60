"""
Drivers that were in charge of this node before the one that is now.

A driver leaves a trace file `<run_dir>/drivers/<name>` from before its first start until its last
trace in the kernel is gone. One that another driver has replaced serves what is under way
(`Driver.retire`) until nothing needs it any more, then it is stopped for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from twinway.driver import Driver
from twinway.errors import TwinwayError

logger = logging.getLogger(__name__)


class Predecessors:
    """The drivers that are leaving. Used from the loop's thread alone."""

    def __init__(self, folder: Path, current: str, build: Callable[[str], Driver]) -> None:
        """
        `folder` holds the trace files; `build` makes a driver by name, or raises `TwinwayError`.

        `current` is empty where no driver is in charge yet.
        """
        self._folder = folder
        self._current = current
        self._leaving: dict[str, Driver] = {}
        self._build = build
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in sorted(path.name for path in folder.iterdir() if path.name != current):
            self._leave(name)

    @property
    def trace(self) -> Path:
        """The trace file of the driver in charge; the folder of all traces while none is."""
        return self._folder / self._current

    def succeed(self, current: str) -> None:
        """Put `current` in charge, before it is started; the driver that was leaves from now on."""
        former, self._current = self._current, current
        self._leaving.pop(current, None)
        if former and former != current:
            self._leave(former)
        self.mark()

    def mark(self) -> None:
        """Leave the trace of the driver that is in charge now; to be called before it is started."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in filter(None, (self._current, *self._leaving)):
            (self._folder / name).touch(mode=0o600)

    def advance(self) -> tuple[str, ...]:
        """Let each go on with leaving; names of those that are still there."""
        for name in list(self._leaving):
            driver = self._leaving[name]
            try:
                if not driver.retire():
                    continue
                driver.stop(keep_traffic=False)
            except (TwinwayError, OSError) as error:
                logger.warning("an earlier driver cannot leave yet driver=%s reason=%r", name, str(error))
                continue
            (self._folder / name).unlink(missing_ok=True)
            del self._leaving[name]
            logger.info("an earlier driver has left driver=%s", name)
        return tuple(self._leaving)

    def _leave(self, name: str) -> None:
        try:
            self._leaving[name] = self._build(name)
        except TwinwayError as error:
            logger.warning(
                "an earlier driver cannot clean up after itself: install it again, or restart the node "
                "driver=%s reason=%r",
                name,
                str(error),
            )
