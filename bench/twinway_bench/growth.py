"""How time and memory grow with the number of Services, from 10 to 50,000, as a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from twinway_bench.compute_scale import ENDPOINTS, SIZES
from twinway_bench.control import STEPS, Scale, scale_of
from twinway_bench.pairs import percentile
from twinway_bench.results import Curve, Effort, Figure, Plot, Section

DRIVER = "tc"
METHOD = (
    f"As for the control plane, at several sizes of {ENDPOINTS} endpoints a Service, driver {DRIVER}; processor "
    "time, and what the process grew by for the first state."
)


def measure(effort: Effort) -> Section:
    """Every size, in a process of its own."""
    scales = [scale_of(DRIVER, size, effort) for size in SIZES]
    figures = []
    for scale in scales:
        what = f"{scale.services:,} Services"
        figures.append(Figure(f"{what}: first state", sum(took.processor for took in scale.first), "s"))
        figures.append(Figure(f"{what}: one changed endpoint, median", _median(scale) * 1000, "ms"))
        figures.append(Figure(f"{what}: memory", scale.memory / 2**20, "MB"))
    first, *_, last = scales
    slope = (last.memory - first.memory) / (last.endpoints - first.endpoints)
    figures.append(Figure("memory for one more endpoint, on the whole way", slope, "bytes"))
    plot = Plot("growth", "Growth with the number of Services", "Services", _curves(scales))
    return Section("growth", "Growth", METHOD, tuple(figures), {"sizes": list(map(asdict, scales))}, (plot,))


def _median(scale: Scale) -> float:
    return percentile([took.processor for took in scale.each_change], 0.5)


def _curves(scales: list[Scale]) -> tuple[Curve, ...]:
    def curve(name: str, unit: str, value: Callable[[Scale], float]) -> Curve:
        return Curve(name, unit, tuple((float(scale.services), value(scale)) for scale in scales))

    def step(number: int) -> Callable[[Scale], float]:
        return lambda scale: scale.first[number].processor

    return (
        *(curve(f"first state, {name}", "seconds", step(number)) for number, name in enumerate(STEPS)),
        curve("one changed endpoint", "seconds", _median),
        curve("process", "MB", lambda scale: scale.memory / 2**20),
    )
