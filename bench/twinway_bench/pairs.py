"""
Rounds of runs, one contestant after the other, and what they say of each other.

A rate changes with whatever else the machine does; two runs that follow each other share most of
it. So contestants run A B C, B C A, …: each round begins with another one, for who follows whom makes
a difference. The first round warms up and is thrown away, and a comparison is the median of the rounds'
ratios, with a bootstrap interval.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

RESAMPLES = 2_000
CONFIDENCE = 0.95

Result = TypeVar("Result")
Round = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A median of ratios, and the interval that holds it with `CONFIDENCE`."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in `0.987 (0.971 to 1.004)`."""
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def rounds(contestants: Mapping[str, Callable[[], Result]], count: int) -> list[Mapping[str, Result]]:
    """What each contestant's runs gave, `count` rounds of all of them after one that is thrown away."""
    every = []
    for number in range(count + 1):
        first = number % len(contestants)
        order = [*contestants][first:] + [*contestants][:first]
        every.append({name: contestants[name]() for name in order})
    return list(every[1:])


def ratio(done: Sequence[Round], over: str, under: str) -> Ratio:
    """How one contestant stands to another, round by round."""
    return of_ratios([each[over] / each[under] for each in done])


def of_ratios(ratios: Sequence[float]) -> Ratio:
    """The median of some ratios and its bootstrap interval; the same figures give the same interval."""
    source = random.Random(0)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    return Ratio(statistics.median(ratios), medians[tail], medians[-tail - 1])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0.5 is a median, 1 the largest."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
