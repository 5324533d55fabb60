"""What a run on other kernels showed: a table for the terminal, and the page docs/kernels.md."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.kernels import suite
from tests.kernels.fleet import Case, Fleet

COLUMNS = ("kernel", "driver", "device", "IPv4", "IPv6", "lab", "seconds")
FAMILIES = (4, 6, None)


STARTS = ("kernel", "driver", "imports", "the rest", "again: imports", "the rest")
TURNS = ("first", "again")


def lines(fleet: Fleet, prepared: Mapping[str, float]) -> Iterator[str]:
    """The report of a run: a line a case, a line for each start of an agent, then where the time went."""
    yield from _columns(COLUMNS, [_row(case) for case in _in_order(fleet)])
    yield from _columns(STARTS, _starts(fleet))
    yield "prepared: " + ", ".join(f"{what} {seconds:.0f} s" for what, seconds in prepared.items())
    for kernel in fleet.kernels:
        if guest := fleet.guest(kernel):
            off = guest.total - guest.boot - guest.command
            yield f"{kernel}: up after {guest.boot:.0f} s, cases {guest.command:.0f} s, the rest {off:.0f} s"


def page(fleet: Fleet) -> str:
    """docs/kernels.md, from a run of everything."""
    kernels = fleet.kernels
    parts = [HEAD, *_markdown(COLUMNS[:-1], [_row(case)[:-1] for case in _in_order(fleet)])]
    parts += ["", START, *_markdown(STARTS, _starts(fleet))]
    parts += ["", f"{WITHOUT}\n"]
    for kernel in kernels:
        parts += [f"### {kernel}", "", *_without(fleet, kernel), ""]
    return with_suite("\n".join([*parts, PROGRAMS]) + "\n")


def with_suite(page: str, file: Path = suite.FILE) -> str:
    """The page with what was last run of the conformance suite by `file`, and all else as it is."""
    runs = list(suite.lines(file))
    title = SUITE.splitlines()[0]
    kept = [part for part in re.split(r"^(?=## )", page, flags=re.MULTILINE) if not part.startswith(title)]
    if not runs:
        return "".join(kept)
    place = next((number for number, part in enumerate(kept) if part.startswith(WITHOUT)), len(kept))
    return "".join([*kept[:place], "\n".join([SUITE, *_markdown(suite.COLUMNS, runs), "\n"]), *kept[place:]])


HEAD = """\
# Kernels and devices

Made by `make test-kernels PAGE=docs/kernels.md`, under emulation: every driver on every pod device, under each
kernel of `testing/twinway_testing/machines/kernels.toml`, from programs that were compiled elsewhere.

A number is checks that hold, of all: the smoke of `tests/kernels/guest/smoke.py`, which is Services and a policy,
over TCP and UDP, and on ipvlan and macvlan what the wire of the pods' parent shows of it: nothing that stays
on the node. *lab* is the lab's own coming and going, and on ipvlan that it is laid out as Terway lays it out.
"""
START = """\
## Agent start

Seconds by the guest's clock, on an emulated processor that other guests share: from an agent's start until
its state is in force, on a kernel that holds nothing yet and beside what that agent left. *imports* is what
Python's own log of imports sums up to; keeping it costs time, which is in *the rest*.
"""
SUITE = """\
## The conformance suite

What was last run of it in a guest (`make test-kernels SUITE=… PAGE=…`), by rows of its semantics table.
"""
WITHOUT = "## What a kernel does without"
PROGRAMS = """\
## Programs

What each program costs each kernel's verifier is in [budget.json](../tests/kernels/budget.json); growth over a
tenth fails the run."""


def _in_order(fleet: Fleet) -> list[Case]:
    return sorted(fleet.cases, key=lambda case: (fleet.kernels.index(case.kernel), case.driver, case.device))


def _row(case: Case) -> tuple[str, ...]:
    counts = ["{}/{}".format(*case.count(family)) for family in FAMILIES]
    seconds = " ".join(f"{step} {took:.0f}" for step, took in case.seconds.items())
    return (case.kernel, case.driver, case.device, *counts, seconds)


def _starts(fleet: Fleet) -> list[tuple[str, ...]]:
    return [
        (kernel, driver, *(f"{taken[turn][part]:.1f}" for turn in TURNS for part in ("imports", "rest")))
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
