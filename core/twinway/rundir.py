"""The agent's run_dir, made again where somebody removes it, or a part of it, under a running agent."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from twinway.errors import TwinwayError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """Something below the run_dir, and how it is made again."""

    path: Path
    remake: Callable[[], None]


class RunDir:
    """What must be there while the agent runs. Used from the loop's thread alone."""

    def __init__(self) -> None:
        """Nothing is to be kept yet."""
        self._parts: list[Part] = []
        self._told = ""

    def keep(self, path: Path, remake: Callable[[], None]) -> None:
        """See to it that `path` is there; parts are made again in the order in which they were given."""
        self._parts.append(Part(path, remake))

    def forget(self, path: Path) -> None:
        """Keep `path` no more."""
        self._parts = [part for part in self._parts if part.path != path]

    def look(self) -> str | None:
        """Make again what is missing; why that cannot be done, None where all is there."""
        missing = [part for part in self._parts if not part.path.exists()]
        if not missing:
            return None
        try:
            for part in missing:
                part.remake()
        except (OSError, TwinwayError) as error:
            reason = f"run_dir: {missing[0].path} is gone, and cannot be made again: {error}"
            if reason != self._told:
                logger.warning("a part of run_dir is gone, and cannot be made again reason=%r", str(error))
            self._told = reason
            return reason
        logger.warning("parts of run_dir were gone, made again parts=%r", [str(part.path) for part in missing])
        self._told = ""
        return None
