"""
The semantics table: what this run saw, row × driver × device × family, as Markdown.

A row is a test with a `row` marker; its words are the test's docstring. The same results give the
same bytes: no dates, no durations.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PASS, FAIL, NOT_APPLICABLE = "pass", "FAIL", "n/a"
_UNSEEN = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a name, what it claims, and the section that it is in."""

    section: str
    name: str
    claim: str


@dataclass(slots=True)
class Results:
    """Results by row and target, with a reason where a row does not apply. Rows in order of their first result."""

    rows: list[Row] = field(default_factory=list)
    seen: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    def add(self, row: Row, target: str, outcome: str, reason: str = "") -> None:
        """One result; of several for a row the worst stands."""
        if row not in self.rows:
            self.rows.append(row)
        before = self.seen.get((row.name, target))
        if before is None or _RANK[outcome] > _RANK[before[0]]:
            self.seen[row.name, target] = (outcome, reason)


_RANK = {PASS: 0, NOT_APPLICABLE: 1, FAIL: 2}


def table(results: Results) -> str:
    """The whole table as Markdown: sections as they came, rows in their order, targets sorted."""
    columns = sorted({target for _, target in results.seen})
    sections: dict[str, list[Row]] = defaultdict(list)
    for row in results.rows:
        sections[row.section].append(row)
    reasons: list[str] = []
    lines = ["# What each driver does", "", _summary(results, columns)]
    for section, rows in sections.items():
        lines += ["", f"## {section}", "", _line(["Row", "Claim", *columns]), _line(["---"] * (2 + len(columns)))]
        for row in rows:
            cells = [_cell(results.seen.get((row.name, column)), reasons) for column in columns]
            lines.append(_line([f"`{row.name}`", row.claim.replace("|", "\\|"), *cells]))
    if reasons:
        lines += ["", "## Not applicable", "", *(f"{number}. {text}" for number, text in enumerate(reasons, 1))]
    return "\n".join(lines) + "\n"


def _summary(results: Results, columns: Sequence[str]) -> str:
    words = []
    for column in columns:
        outcomes = [outcome for (_, target), (outcome, _) in results.seen.items() if target == column]
        words.append(
            f"- {column}: {outcomes.count(PASS)} pass, {outcomes.count(FAIL)} fail, "
            f"{outcomes.count(NOT_APPLICABLE)} not applicable"
        )
    return "\n".join(words)


def _cell(result: tuple[str, str] | None, reasons: list[str]) -> str:
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
    """The row that a test is, or None where it is none."""
    marker = item.get_closest_marker("row")
    if marker is None:
        return None
    function = getattr(item, "function", None)
    module = inspect.getmodule(function)
    section = inspect.getdoc(module) or item.path.stem
    claim = inspect.getdoc(function) or item.name
    return Row(section.splitlines()[0].rstrip("."), marker.args[0], " ".join(claim.split("\n\n")[0].split()))


class Recorder:
    """Collects results while pytest runs, and writes the table at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results = Results()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note the result of a row."""
        report = yield
        row, call = row_of(item), getattr(item, "callspec", None)
        if row is not None and call is not None and "target" in call.params:
            self._note(row, str(call.params["target"]), report)
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the table."""
        self._path.write_text(table(self._results))

    def _note(self, row: Row, target: str, report: pytest.TestReport) -> None:
        if report.failed:
            self._results.add(row, target, FAIL)
        elif report.skipped:
            self._results.add(row, target, NOT_APPLICABLE, _reason(report))
        elif report.when == "call":
            self._results.add(row, target, PASS)


def _reason(report: pytest.TestReport) -> str:
    told = report.longrepr
    words = told[2] if isinstance(told, tuple) else str(told)
    return words.removeprefix("Skipped: ")
