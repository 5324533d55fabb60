"""
The semantics table: the results of this run by row, driver, device and family, as Markdown.

A row is a test with a `row` marker, and its claim is the test's docstring. The same results give the same bytes,
whatever their order, because the table has no dates or durations.
"""

from __future__ import annotations

import inspect
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from twinway_conformance.targets import Target

PASS, FAIL, NOT_APPLICABLE = "pass", "FAIL", "n/a"
_UNSEEN = "–"
_RANK = {PASS: 0, NOT_APPLICABLE: 1, FAIL: 2}
_KEY = "twinway-row"
"""The name of a test's row among the properties of its report, which pass between the processes of a run."""


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One line of the table: the place of its test, its section, its name and its claim."""

    file: str
    line: int
    section: str
    name: str
    claim: str


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The column of a result in the table, and the address families of the cluster."""

    column: str
    family: str


Result = tuple[str, str]
"""An outcome, and the reason if it is not applicable."""


@dataclass(slots=True)
class Results:
    """Results by row and place, and other facts about the run."""

    seen: dict[Row, dict[Place, Result]] = field(default_factory=dict)
    facts: tuple[str, ...] = ()

    def add(self, row: Row, place: Place, outcome: str, reason: str = "") -> None:
        """Add a result. Of several results for a row and place, the worst one counts."""
        results = self.seen.setdefault(row, {})
        before = results.get(place)
        if before is None or _RANK[outcome] > _RANK[before[0]]:
            results[place] = (outcome, reason)

    @property
    def places(self) -> list[Place]:
        """All places with results, sorted."""
        return sorted({place for results in self.seen.values() for place in results})


def table(results: Results) -> str:
    """The whole table as Markdown: sections and rows in the suite's order, drivers and devices sorted."""
    columns = sorted({place.column for place in results.places})
    sections: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(results.seen):
        sections[row.section].append(row)
    reasons: list[str] = []
    lines = ["# What each driver does", "", *_lead(results)]
    for section, rows in sections.items():
        lines += ["", f"## {section}", "", _line(["Row", "Claim", *columns]), _line(["---"] * (2 + len(columns)))]
        for row in rows:
            cells = [_cell(column, results, row, reasons) for column in columns]
            lines.append(_line([f"`{row.name}`", row.claim.replace("|", "\\|"), *cells]))
    if reasons:
        lines += ["", "## Not applicable", "", *(f"{number}. {text}" for number, text in enumerate(reasons, 1))]
    return "\n".join(lines) + "\n"


def _lead(results: Results) -> list[str]:
    head = ["Driver and device", "Address families", PASS, FAIL, NOT_APPLICABLE]
    lines = [_line(head), _line(["---"] * len(head))]
    for place in results.places:
        outcomes = [seen[place][0] for seen in results.seen.values() if place in seen]
        counts = [str(outcomes.count(outcome)) for outcome in (PASS, FAIL, NOT_APPLICABLE)]
        lines.append(_line([place.column, place.family, *counts]))
    return [*lines, *(line for fact in results.facts for line in ("", fact))]


def _cell(column: str, results: Results, row: Row, reasons: list[str]) -> str:
    families = [place.family for place in results.places if place.column == column]
    seen = results.seen[row]
    words = {family: _word(seen.get(Place(column, family)), reasons) for family in families}
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{family}: {word}" for family, word in words.items())


def _word(result: Result | None, reasons: list[str]) -> str:
    if result is None:
        return _UNSEEN
    outcome, reason = result
    if outcome != NOT_APPLICABLE:
        return outcome
    if reason not in reasons:
        reasons.append(reason)
    return f"{outcome} ({reasons.index(reason) + 1})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def row_of(item: pytest.Item) -> Row | None:
    """The row of a test, or None if it has no `row` marker."""
    marker = item.get_closest_marker("row")
    if marker is None:
        return None
    function = getattr(item, "function", None)
    module = inspect.getmodule(function)
    section = inspect.getdoc(module) or item.path.stem
    claim = inspect.getdoc(function) or item.name
    words = " ".join(claim.split("\n\n")[0].split())
    return Row(item.path.name, item.location[1] or 0, section.splitlines()[0].rstrip("."), marker.args[0], words)


def note(item: pytest.Item, target: Target) -> None:
    """Add a test's row and target to its properties, which its reports carry."""
    row = row_of(item)
    if row is not None:
        place = Place(f"{target.driver} {target.device}", _FAMILIES[target.family])
        item.user_properties.append((_KEY, {"row": asdict(row), "place": asdict(place)}))


_FAMILIES = {"4": "IPv4", "6": "IPv6", "dual": "dual stack"}


class Recorder:
    """Collects results while pytest runs, in one or more processes, and writes the table at the end."""

    def __init__(self, path: Path, facts: Callable[[], Iterable[str]] = tuple) -> None:
        self._path, self._facts = path, facts
        self._results = Results()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the result of a row."""
        for key, noted in report.user_properties:
            if key == _KEY and isinstance(noted, Mapping):
                self._note(Row(**noted["row"]), Place(**noted["place"]), report)

    def pytest_sessionfinish(self) -> None:
        """Write the table."""
        self._results.facts = (f"Linux {_kernel()}.", *self._facts())
        self._path.write_text(table(self._results))

    def _note(self, row: Row, place: Place, report: pytest.TestReport) -> None:
        if report.failed:
            self._results.add(row, place, FAIL)
        elif report.skipped:
            self._results.add(row, place, NOT_APPLICABLE, _reason(report))
        elif report.when == "call":
            self._results.add(row, place, PASS)


def _kernel() -> str:
    # Only 6.18 of 6.18.44-1: a new build of the kernel must not change the table.
    return ".".join(platform.release().split(".")[:2])


def _reason(report: pytest.TestReport) -> str:
    found = report.longrepr
    words = found[2] if isinstance(found, tuple) else str(found)
    return words.removeprefix("Skipped: ")
