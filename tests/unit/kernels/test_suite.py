"""What is kept of runs of the conformance suite on other kernels."""

from __future__ import annotations

from pathlib import Path

from tests.kernels import report, suite

TABLE = """\
| Driver and device | Address families | pass | FAIL | n/a |
| --- | --- | --- | --- | --- |
| tc ipvlan | dual stack | 1 | 1 | 1 |

| Row | Claim | tc ipvlan |
| --- | --- | --- |
| `hairpin` | A pod reaches itself \\| through a Service | pass |
| `sctp` | SCTP, too | FAIL |
| `change` | Another driver | n/a (1) |
"""
TARGET = ("6.12", "tc", "ipvlan")


def test_outcomes_are_read_from_the_suites_table():
    """Each row comes with its outcome, and the count above is none."""
    assert suite.outcomes(TABLE) == {"hairpin": "pass", "sctp": "FAIL", "change": "n/a"}


def test_newer_results_take_the_place_of_older_ones(tmp_path: Path):
    """Parts that ran at different times add up, and a row that ran twice counts as it came last."""
    file = tmp_path / "suite.json"
    suite.record(TARGET, "-k services", TABLE, file)
    suite.record(TARGET, "-k sctp", TABLE.replace("FAIL |\n| `change`", "pass |\n| `change`"), file)
    ((*target, held, absent, red, _, asked),) = suite.lines(file)
    assert (tuple(target), held, absent, red, asked) == (TARGET, "2", "1", "none", "`-k sctp`; `-k services`")


def test_a_red_row_is_named(tmp_path: Path):
    """What does not hold stands in the page by its name."""
    file = tmp_path / "suite.json"
    suite.record(TARGET, "-k services", TABLE, file)
    ((*_, held, absent, red, _, _),) = suite.lines(file)
    assert (held, absent, red) == ("1", "1", "sctp")


def test_a_row_that_never_ran_is_named(tmp_path: Path):
    """What a kernel has not been seen to hold stands in the page by its name; what ran does not."""
    file = tmp_path / "suite.json"
    suite.record(TARGET, "-k services", TABLE, file)
    ((*_, never, _),) = suite.lines(file)
    assert set(never.split(", ")) == set(suite.rows()) - {"hairpin"}
    assert {"hairpin", "np-swap", "fuzz-policies"} < set(suite.rows())


def test_a_page_takes_in_new_rows_and_loses_nothing(tmp_path: Path):
    """Rows of the suite are put into a page that has none, then in place of those it has; the rest stays."""
    file = tmp_path / "suite.json"
    page = f"# Kernels\n\n| 5.10 |\n\n{report.WITHOUT}\n\nNothing.\n\n{report.PROGRAMS}\n"
    suite.record(TARGET, "-k services", TABLE, file)
    first = report.with_suite(page, file)
    suite.record(("5.10", "tc", "ipvlan"), "-k services", TABLE, file)
    second = report.with_suite(first, file)
    assert "| 6.12 | tc | ipvlan | 1 | 1 | sctp | " in first
    assert "| `-k services` |\n\n## Features" in first
    assert first.count("\n## ") == second.count("\n## ") == page.count("\n## ") + 1
    assert set(first.splitlines()) < set(second.splitlines())
    assert report.with_suite(second, tmp_path / "none") == page
