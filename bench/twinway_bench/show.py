"""Results for people: a table on the terminal, and the same as Markdown between marks of a page."""

from __future__ import annotations

import math
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from twinway_bench.results import Figure, Section

COLUMNS = ("figure", "measured", "should hold", "")
_MARKS = "<!-- bench:{name} -->", "<!-- /bench:{name} -->"


def cells(figure: Figure) -> tuple[str, str, str, str]:
    """What stands in a table's row."""
    unit = f" {figure.unit}" if figure.unit else ""
    measured = f"{number(figure.value)}{unit}"
    if figure.interval:
        measured += " ({} to {})".format(*map(number, figure.interval))
    due = f"{figure.bar}{unit}" if figure.bar else ""
    return figure.what, measured, due, {True: "yes", False: "**no**", None: ""}[figure.holds]


def number(value: float) -> str:
    """Three significant digits, or all before the point; whole numbers as such."""
    if not math.isfinite(value):
        return "never"
    if value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"


def print_table(section: Section) -> None:
    """The section on the terminal."""
    table = Table(*COLUMNS, title=section.title, caption=section.method, caption_justify="left")
    for figure in section.figures:
        *words, mark = cells(figure)
        style = "red" if figure.is_wrong else None
        table.add_row(*words, mark.strip("*"), style=style)
    Console().print(table)


def markdown(section: Section) -> str:
    """The section's table as Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(cells, section.figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def put_into(page: Path, section: Section) -> None:
    """Replace what stands between the section's marks on a page; a page without them stays as it is."""
    begin, end = (mark.format(name=section.name) for mark in _MARKS)
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    table = f"{begin}\n{markdown(section)}\n{end}"
    page.write_text(between.sub(lambda _: table, page.read_text()))
