"""Pauses between tries: they double, and half of each is chance, so that nodes that failed together come apart."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pacing:
    """How long to wait after failures in a row, in seconds."""

    first: float = 0.25
    longest: float = 30.0
    jitter: Callable[[], float] = random.random
    """From 0 to 1."""

    def pause(self, failures: int) -> float:
        """The pause after that many failures; none after none."""
        if failures <= 0:
            return 0.0
        return min(self.first * 2.0 ** min(failures - 1, 30), self.longest) * (1.0 + self.jitter()) / 2.0


CONNECTING = Pacing(longest=4.0)
"""For connections: a node tries one at a time, and is to be served soon after the server is back."""
READING = Pacing(first=0.8)
"""For lists and watches, which cost the server more."""
