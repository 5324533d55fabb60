"""What something took: on the clock, and of processor time, which others on the machine do not lengthen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

Answer = TypeVar("Answer")


class Took(NamedTuple):
    """Seconds of both kinds."""

    wall: float
    processor: float

    def plus(self, other: Took) -> Took:
        """One after the other."""
        return Took(self.wall + other.wall, self.processor + other.processor)


def timed(what: Callable[..., Answer], *given: Any) -> tuple[Took, Answer]:
    """What a call took this process, and its answer."""
    began, used = time.perf_counter(), time.process_time()
    answer = what(*given)
    return Took(time.perf_counter() - began, time.process_time() - used), answer
