"""Pictures of how things grow, by matplotlib where it is installed."""

from __future__ import annotations

from pathlib import Path

from twinway_bench.results import Plot


def draw(plot: Plot, folder: Path) -> Path | None:
    """The picture's file; None where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    units = list(dict.fromkeys(curve.unit for curve in plot.curves))
    figure = Figure(figsize=(5.2 * len(units), 3.8), layout="constrained")
    figure.suptitle(plot.title)
    for unit, axes in zip(units, figure.subplots(1, len(units), squeeze=False)[0], strict=True):
        for curve in plot.curves:
            if curve.unit == unit:
                axes.plot(*zip(*curve.points, strict=True), marker="o", label=curve.name)
        axes.set(xscale="log", yscale="log", xlabel=plot.over, ylabel=unit)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    path = folder / f"{plot.file}.png"
    figure.savefig(path, dpi=110)
    return path
