"""Figures for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinway_bench.results import NONE, Bar, Figure, Section
from twinway_bench.show import number, put_into

SECTION = Section(
    "lost",
    "Requests lost",
    "counted",
    (
        Figure("requests lost", 3, "", NONE),
        Figure("ratio", 0.981, "", Bar(0.97, at_least=True), (0.9512, 1.02)),
        Figure("start", 1234.5, "ms", Bar(5)),
        Figure("memory", 51.2, "MB"),
    ),
)


def test_only_counts_are_wrong() -> None:
    """A time that misses its bar is reported; a count above it is an error."""
    assert [figure.holds for figure in SECTION.figures] == [False, True, False, None]
    assert [figure.is_wrong for figure in SECTION.figures] == [True, False, False, False]


def test_a_page_gets_its_table(tmp_path: Path) -> None:
    """What stood between the marks is replaced, and nothing else; doing it again changes nothing."""
    page = tmp_path / "measures.md"
    page.write_text("# Measures\n<!-- bench:lost -->\nold\n<!-- /bench:lost -->\nrest\n")
    put_into(page, SECTION)
    written = page.read_text()
    put_into(page, SECTION)
    assert page.read_text() == written
    assert written.splitlines() == [
        "# Measures",
        "<!-- bench:lost -->",
        "| figure | measured | should hold |  |",
        "| --- | --- | --- | --- |",
        "| requests lost | 3 | ≤ 0 | **no** |",
        "| ratio | 0.981 (0.951 to 1.020) | ≥ 0.97 | yes |",
        "| start | 1,234 ms | ≤ 5 ms | **no** |",
        "| memory | 51.20 MB |  |  |",
        "<!-- /bench:lost -->",
        "rest",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (1_000_000, "1,000,000"), (0.0123, "0.012"), (12.345, "12.35"), (float("inf"), "never")],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    """As many digits as are worth reading."""
    assert number(value) == shown
