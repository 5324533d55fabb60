"""The report of a run on other kernels: a table for the terminal, and the page docs/kernels.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.kernels import suite
from tests.kernels.fleet import Case, Fleet

COLUMNS = ("kernel", "driver", "device", "IPv4", "IPv6", "lab", "seconds")
FAMILIES = (4, 6, None)


STARTS = ("kernel", "driver", "imports", "other", "again: imports", "other")
RUNS = ("first", "again")


def lines(fleet: Fleet, prepared: Mapping[str, float]) -> Iterator[str]:
    """The report of a run: a line for each case, a line for each agent, then the time that the parts took."""
    yield from _columns(COLUMNS, [_row(case) for case in _in_order(fleet)])
    yield from _columns(STARTS, _starts(fleet))
    yield "prepared: " + ", ".join(f"{what} {seconds:.0f} s" for what, seconds in prepared.items())
    for kernel in fleet.kernels:
        if guest := fleet.guest(kernel):
            off = guest.total - guest.boot - guest.command
            yield f"{kernel}: up after {guest.boot:.0f} s, cases {guest.command:.0f} s, other {off:.0f} s"


def page(fleet: Fleet) -> str:
    """The text of docs/kernels.md, from a run of all kernels, drivers and devices."""
    kernels = fleet.kernels
    parts = [HEAD, *_markdown(COLUMNS[:-1], [_row(case)[:-1] for case in _in_order(fleet)])]
    parts += ["", START, *_markdown(STARTS, _starts(fleet))]
    parts += ["", f"{WITHOUT}\n"]
    for kernel in kernels:
        parts += [f"### {kernel}", "", *_without(fleet, kernel), ""]
    return with_suite("\n".join([*parts, PROGRAMS]) + "\n")


def with_suite(page: str, file: Path = suite.FILE) -> str:
    """The page with the last results of the conformance suite, which are in `file`. Other parts stay."""
    runs = list(suite.lines(file))
    title = SUITE.splitlines()[0]
    kept = [part for part in re.split(r"^(?=## )", page, flags=re.MULTILINE) if not part.startswith(title)]
    if not runs:
        return "".join(kept)
    place = next((number for number, part in enumerate(kept) if part.startswith(WITHOUT)), len(kept))
    return "".join([*kept[:place], "\n".join([SUITE, *_markdown(suite.COLUMNS, runs), "\n"]), *kept[place:]])


HEAD = """\
# Kernels and devices

`make test-kernels PAGE=docs/kernels.md` writes this page. It runs every driver on every pod device under each
kernel of `testing/twinway_testing/machines/kernels.toml`, in virtual machines, with programs that were compiled
elsewhere.

A cell has the number of passed checks, and of all checks. They are the smoke test of
`tests/kernels/guest/smoke.py`: Services and a policy, over TCP and UDP. On ipvlan and macvlan they include the
traffic on the pods' parent, which must not show packets that stay on the node. *lab* has the checks of the lab:
it starts, stops and leaves nothing behind, and on ipvlan its layout is Terway's.
"""
START = """\
## Agent start

Seconds from an agent's start until its state is in force: on a kernel that holds nothing yet, and again beside
what that agent left. They are by the guest's clock, on an emulated processor that other guests share. *imports*
is the sum of Python's own log of imports; writing that log takes time, which is in *other*.
"""
SUITE = """\
## The conformance suite

The last results in a guest (`make test-kernels SUITE=… PAGE=…`), by rows of the semantics table.
"""
WITHOUT = "## Features that a kernel lacks"
PROGRAMS = """\
## Programs

[budget.json](../tests/kernels/budget.json) has the instructions that each kernel's verifier processes for each
program. The run fails if a number grows by more than a tenth."""


def _in_order(fleet: Fleet) -> list[Case]:
    return sorted(fleet.cases, key=lambda case: (fleet.kernels.index(case.kernel), case.driver, case.device))


def _row(case: Case) -> tuple[str, ...]:
    counts = ["{}/{}".format(*case.count(family)) for family in FAMILIES]
    seconds = " ".join(f"{step} {took:.0f}" for step, took in case.seconds.items())
    return (case.kernel, case.driver, case.device, *counts, seconds)


def _starts(fleet: Fleet) -> list[tuple[str, ...]]:
    return [
        (kernel, driver, *(f"{taken[run][part]:.1f}" for run in RUNS for part in ("imports", "other")))
        for kernel in fleet.kernels
        for driver, taken in sorted(fleet.starts(kernel).items())
    ]


def _without(fleet: Fleet, kernel: str) -> list[str]:
    missing: dict[str, list[str]] = {}
    for driver in fleet.features(kernel):
        for need in driver["requirements"]:
            if not need["present"]:
                missing.setdefault(f"- {need['feature']}: {need['without']}", []).append(driver["driver"])
    return [f"{line} ({', '.join(drivers)})" for line, drivers in missing.items()] or ["Nothing."]


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        yield "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip()


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(row)} |" for row in table]
