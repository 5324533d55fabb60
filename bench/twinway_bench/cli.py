"""`twinway bench`: measure, print the tables, keep the results."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from twinway.cli.options import new_app
from twinway_bench.errors import BenchError
from twinway_bench.results import Effort, Section

BENCHES = {
    "throughput": "throughput",
    "control": "control",
    "agent": "agent_scale",
    "growth": "growth",
    "policy": "policy_state",
    "packets": "policy_packets",
    "cost": "packet_cost",
    "instructions": "instructions",
    "lost": "lost",
    "churn": "churn",
    "lab": "lab_speed",
}
"""Each bench and the module that has its `measure(effort)`."""

_GIVEN = Effort()

app = new_app()


def _names(names: list[str] | None) -> list[str]:
    if unknown := [name for name in names or () if name not in BENCHES]:
        raise typer.BadParameter(f"no bench {unknown[0]}: there are {', '.join(BENCHES)}")
    return names or list(BENCHES)


NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help=f"{', '.join(BENCHES)}; without a name, all.", callback=_names),
]
PageOption = Annotated[
    Path | None, typer.Option("--page", help="Put the tables between their marks on this Markdown page.")
]


@app.command()
def bench(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    names: NamesArgument = None,
    pairs: Annotated[int, typer.Option(help="Rounds that count.")] = _GIVEN.pairs,
    seconds: Annotated[int, typer.Option(help="Duration of each run under load.")] = _GIVEN.seconds,
    changes: Annotated[int, typer.Option(help="Changes, one after the other.")] = _GIVEN.changes,
    repeats: Annotated[int, typer.Option(help="Repetitions of each command that is timed.")] = _GIVEN.repeats,
    out: Annotated[Path, typer.Option(help="Folder for JSON and pictures.")] = _GIVEN.out,
    page: PageOption = None,
) -> None:
    """
    Measure what Services and policy cost on this machine, in labs of its own.

    Rates are compared in rounds, and the median of the rounds' ratios is reported with an interval.
    A count that must be zero and is not (a lost request, a write without a change) ends the bench with status 1.
    """
    if os.geteuid() != 0:
        raise BenchError("the bench makes network namespaces and loads BPF: run it as root")
    # An exception takes labs and namespaces down on its way out; the signal's default would leave them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: ended by SIGTERM"))
    effort = Effort(pairs, seconds, changes, repeats, out.absolute())
    effort.out.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    for name in names or ():
        wrong += _measure(name, effort, page)
    for line in wrong:
        typer.echo(f"error: {line}", err=True)
    raise typer.Exit(1 if wrong else 0)


def _measure(name: str, effort: Effort, page: Path | None) -> list[str]:
    # Run one bench and keep its results; returns a line for each thing that went wrong.
    measure: Callable[[Effort], Section] = import_module(f"twinway_bench.{BENCHES[name]}").measure
    try:
        section = measure(effort)
    except BenchError as error:
        return [f"{name}: {error}"]
    _keep(section, effort.out, page)
    return [f"{each.what}: {each.value:g}, must be {each.bar}" for each in section.figures if each.is_wrong]


def _keep(section: Section, out: Path, page: Path | None) -> None:
    from twinway_bench import plot, show

    show.print_table(section)
    (out / f"{section.name}.json").write_text(json.dumps(section.as_json(), indent=1) + "\n")
    for each in section.plots:
        if plot.draw(each, out) is None:
            typer.echo("note: pictures need matplotlib: install twinway-bench[pictures]", err=True)
    if page is not None:
        show.put_into(page, section)
        for each in section.plots:
            plot.draw(each, page.parent)
