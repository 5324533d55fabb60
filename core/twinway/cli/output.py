"""Printing: JSON for programs, a table for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import typer

WIDTH_OF_A_PIPE = 10_000
NARROWEST = 20
"""Below this a table is no table any more."""


def print_json(value: Any) -> None:
    """The value as indented JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Rows under their columns, or the line `empty` where there are none."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        typer.echo(empty)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    Console(markup=False, highlight=False, width=_width()).print(table)


# COLUMNS counts wherever it is set, as people expect of it. A pipe has no width of its own: what reads it
# wants each row on one line.
def _width() -> int | None:
    width = os.environ.get("COLUMNS", "")
    if width.isdecimal() and int(width) > 0:
        return max(int(width), NARROWEST)
    return None if sys.stdout.isatty() else WIDTH_OF_A_PIPE


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else str(value)
