"""What a bench found, as values: figures, what each should hold, and the raw runs behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from twinway_bench.pairs import Ratio


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure should hold. Only a `count` is right or wrong; the rest depends on the machine."""

    limit: float
    at_least: bool = False
    count: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value does."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        """As in `≤ 5` or `≥ 0.97`."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


NONE = Bar(0, count=True)
"""For what must never happen."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `unit` is empty for ratios and counts."""

    what: str
    value: float
    unit: str = ""
    bar: Bar | None = None
    interval: tuple[float, float] | None = None

    @property
    def holds(self) -> bool | None:
        """Whether it is what it should be; None where nothing is asked of it."""
        return self.bar.holds(self.value) if self.bar else None

    @property
    def is_wrong(self) -> bool:
        """Whether something happened that never must."""
        return self.bar is not None and self.bar.count and not self.holds


def of_ratio(what: str, ratio: Ratio, at_least: float | None = None) -> Figure:
    """A ratio as a figure."""
    bar = Bar(at_least, at_least=True) if at_least is not None else None
    return Figure(what, ratio.median, "", bar, (ratio.low, ratio.high))


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one quantity over another, for a plot."""

    name: str
    unit: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: curves of one unit share an axis. `file` is its name without an ending."""

    file: str
    title: str
    over: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """What one bench found. `method` says in a sentence or two how; `raw` holds the runs."""

    name: str
    title: str
    method: str
    figures: tuple[Figure, ...]
    raw: Mapping[str, Any] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure."""

    pairs: int = 9
    seconds: int = 2
    changes: int = 200
    repeats: int = 5
    out: Path = Path("build/bench")
    """Results go here, and what is compiled, so that nothing but a first run waits for it."""
