"""The semantics table."""

from __future__ import annotations

from twinway_conformance.semantics import FAIL, NOT_APPLICABLE, PASS, Results, Row, table

ROWS = [
    Row("Services", "tcp", "TCP | works."),
    Row("Services", "udp", "UDP works."),
    Row("Policy", "np", "Denied."),
]


def results(order: list[int]) -> Results:
    made = Results()
    for index in order:
        made.add(ROWS[index], "tc-veth-dual", PASS)
        made.add(ROWS[index], "sockops-veth-dual", NOT_APPLICABLE if index == 1 else PASS, "no such packets")
    return made


def test_table_is_whole() -> None:
    """Every row has a cell for every target, and reasons are listed once, by number."""
    made = results([0, 1, 2])
    made.add(ROWS[2], "tc-veth-dual", FAIL)
    assert table(made).splitlines() == [
        "# What each driver does",
        "",
        "- sockops-veth-dual: 2 pass, 0 fail, 1 not applicable",
        "- tc-veth-dual: 2 pass, 1 fail, 0 not applicable",
        "",
        "## Services",
        "",
        "| Row | Claim | sockops-veth-dual | tc-veth-dual |",
        "| --- | --- | --- | --- |",
        "| `tcp` | TCP \\| works. | pass | pass |",
        "| `udp` | UDP works. | n/a (1) | pass |",
        "",
        "## Policy",
        "",
        "| Row | Claim | sockops-veth-dual | tc-veth-dual |",
        "| --- | --- | --- | --- |",
        "| `np` | Denied. | pass | FAIL |",
        "",
        "## Not applicable",
        "",
        "1. no such packets",
    ]


def test_same_results_same_bytes() -> None:
    """Targets in whatever order they came give the same bytes."""
    one, other = Results(), Results()
    for target in ("a", "b"):
        one.add(ROWS[0], target, PASS)
    for target in ("b", "a"):
        other.add(ROWS[0], target, PASS)
    assert table(one) == table(other)


def test_the_worst_stands() -> None:
    """A row of several results is as good as the worst of them, whichever came first."""
    for order in ((PASS, FAIL, NOT_APPLICABLE), (FAIL, PASS), (NOT_APPLICABLE, FAIL, PASS)):
        made = Results()
        for outcome in order:
            made.add(ROWS[0], "tc", outcome)
        assert made.seen["tcp", "tc"][0] == FAIL


def test_unseen_is_shown_as_such() -> None:
    """A row that a target was not asked for has a dash, not a pass."""
    made = Results()
    made.add(ROWS[0], "tc", PASS)
    made.add(ROWS[1], "other", PASS)
    assert "| `udp` | UDP works. | pass | – |" in table(made)
