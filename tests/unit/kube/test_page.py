"""The page of e2e results against the file that it is made from."""

from __future__ import annotations

import json
from pathlib import Path

from twinway_testing.kube import e2e, page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_shows_the_file():
    """The table of docs/e2e.md is the one that its file makes."""
    text = (DOCS / "e2e.md").read_text()
    assert text == page.with_table(text, json.loads((DOCS / "e2e.json").read_text()))


def test_no_result_needs_what_is_not_served():
    """The file holds results of selected tests only."""
    results = json.loads((DOCS / "e2e.json").read_text())
    assert not [name for states in results.values() for name in states if e2e.needs(name)]


def test_results_of_another_run_are_kept(tmp_path):
    """A run replaces the results of the tests that it ran, on its own network."""
    file, shown = tmp_path / "e2e.json", tmp_path / "e2e.md"
    shown.write_text("words\n")
    page.record(file, "tc on veth", {"a": "failed", "b": "passed"})
    page.record(file, "sockops on veth", {"a": "passed"})
    page.record(file, "tc on veth", {"a": "passed"})
    assert json.loads(file.read_text()) == {
        "tc on veth": {"a": "passed", "b": "passed"},
        "sockops on veth": {"a": "passed"},
    }
    lines = shown.read_text().splitlines()
    assert lines[0] == "words"
    assert lines[-2:] == ["| a | passed | passed |", "| b |  | passed |"]


def test_a_name_with_a_bar_stays_in_its_column():
    """A test's name is one cell of the table."""
    assert page.table({"tc on veth": {"a | b": "passed"}})[-1] == r"| a \| b | passed |"
