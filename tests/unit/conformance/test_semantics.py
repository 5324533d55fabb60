"""The semantics table."""

from __future__ import annotations

from twinway_conformance.semantics import FAIL, NOT_APPLICABLE, PASS, Place, Results, Row, table

ROWS = [
    Row("test_a.py", 1, "Services", "tcp", "TCP | works."),
    Row("test_a.py", 9, "Services", "udp", "UDP works."),
    Row("test_b.py", 1, "Policy", "np", "Denied."),
]
TC, TC_SIX, SOCKOPS = Place("tc veth", "IPv4"), Place("tc veth", "IPv6"), Place("sockops veth", "IPv4")


def results(order: list[int]) -> Results:
    made = Results(facts=("Linux of old.",))
    for index in order:
        made.add(ROWS[index], TC, PASS)
        made.add(ROWS[index], SOCKOPS, NOT_APPLICABLE if index == 1 else PASS, "no such packets")
    return made


def test_table_is_whole() -> None:
    """Every row has a cell for every driver and device, and reasons are listed once, by number."""
    made = results([0, 1, 2])
    made.add(ROWS[2], TC, FAIL)
    assert table(made).splitlines() == [
        "# What each driver does",
        "",
        "| Driver and device | Address families | pass | FAIL | n/a |",
        "| --- | --- | --- | --- | --- |",
        "| sockops veth | IPv4 | 2 | 0 | 1 |",
        "| tc veth | IPv4 | 2 | 1 | 0 |",
        "",
        "Linux of old.",
        "",
        "## Services",
        "",
        "| Row | Claim | sockops veth | tc veth |",
        "| --- | --- | --- | --- |",
        "| `tcp` | TCP \\| works. | pass | pass |",
        "| `udp` | UDP works. | n/a (1) | pass |",
        "",
        "## Policy",
        "",
        "| Row | Claim | sockops veth | tc veth |",
        "| --- | --- | --- | --- |",
        "| `np` | Denied. | pass | FAIL |",
        "",
        "## Not applicable",
        "",
        "1. no such packets",
    ]


def test_same_results_same_bytes() -> None:
    """Rows and places in whatever order they came give the same bytes."""
    one, other = results([0, 1, 2]), results([2, 0, 1])
    for place in (TC, TC_SIX):
        one.add(ROWS[0], place, PASS)
    for place in (TC_SIX, TC):
        other.add(ROWS[0], place, PASS)
    assert table(one) == table(other)


def test_families_share_a_cell() -> None:
    """What every family says is said once; where they differ, each is named."""
    made = Results()
    for place in (TC, TC_SIX):
        made.add(ROWS[0], place, PASS)
        made.add(ROWS[1], place, PASS if place == TC else FAIL)
    made.add(ROWS[2], TC, PASS)
    assert [line.split(" | ")[-1] for line in table(made).splitlines() if line.startswith("| `")] == [
        "pass |",
        "IPv4: pass, IPv6: FAIL |",
        "IPv4: pass, IPv6: – |",
    ]


def test_the_worst_stands() -> None:
    """A row of several results is as good as the worst of them, whichever came first."""
    for order in ((PASS, FAIL, NOT_APPLICABLE), (FAIL, PASS), (NOT_APPLICABLE, FAIL, PASS)):
        made = Results()
        for outcome in order:
            made.add(ROWS[0], TC, outcome)
        assert made.seen[ROWS[0]][TC][0] == FAIL


def test_unseen_is_shown_as_such() -> None:
    """A row that a driver was not asked for has a dash, not a pass."""
    made = Results()
    made.add(ROWS[0], TC, PASS)
    made.add(ROWS[1], Place("zz veth", "IPv4"), PASS)
    assert "| `udp` | UDP works. | – | pass |" in table(made)
