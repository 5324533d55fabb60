"""Programs of the suite that run at a place of the lab while a test goes on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from twinway_conformance.lab import Lab, LabError
from twinway_conformance.probes import ANSWER_SECONDS
from twinway_conformance.sockets import command

SERVED = 7000
"""The port that `serving` answers on: one that no pod of the cast declares."""
LOAD_PAUSE = 0.01
"""Seconds between two requests of a load: slow machines are to serve it beside what is tested."""


class Running:
    """A program that prints `ready`, runs until its input ends, and may have a last word."""

    def __init__(self, lab: Lab, place: str, program: str, *words: str) -> None:
        self.place, self.program = place, program
        self.ended = False
        self._process: subprocess.Popen[str] = lab.start(place, *command(program, *words))

    def wait(self) -> None:
        """The program is ready."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != "ready\n":
            raise LabError(f"{self.program} at {self.place} said {line!r} instead of being ready")

    def end(self) -> str:
        """The program's last word."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.ended = True
        self._process.stdin.close()
        word = self._process.stdout.read()
        self._process.wait()
        return word


@contextmanager
def running(programs: list[Running]) -> Iterator[list[Running]]:
    """All of them ready; ended on the way out where they have not been."""
    try:
        for each in programs:
            each.wait()
        yield programs
    finally:
        for each in programs:
            if not each.ended:
                each.end()


@contextmanager
def serving(lab: Lab, *pods: str) -> Iterator[None]:
    """Each pod answers lines with its name and its client's address on port `SERVED`, TCP and UDP."""
    with running([Running(lab, pod, "serve.py", pod, str(SERVED)) for pod in pods]):
        yield


@dataclass(frozen=True, slots=True)
class Tally:
    """What a load met: requests by kind, answers by pod, one line for each loss."""

    requests: dict[str, int]
    backends: dict[str, int]
    lost: list[str]
    losses: int
    reopened: int
    slowest_ms: int

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.losses} of {sum(self.requests.values())} requests lost ({self.requests}, "
            f"{self.backends}, slowest {self.slowest_ms} ms): {'; '.join(self.lost)}"
        )


@contextmanager
def loading(lab: Lab, *clients: tuple[str, str, int]) -> Iterator[list[Tally]]:
    """Load from each (place, address, port) while the block runs; the tallies are there after it."""
    tallies: list[Tally] = []
    pace = (str(ANSWER_SECONDS * lab.slow), str(LOAD_PAUSE * lab.slow))
    programs = [Running(lab, place, "load.py", address, str(port), *pace) for place, address, port in clients]
    with running(programs):
        yield tallies
        tallies += [Tally(**json.loads(each.end())) for each in programs]


@contextmanager
def sniffing(lab: Lab, place: str, *addresses: str) -> Iterator[dict[str, Any]]:
    """Packets that left `place` for each address while the block ran: address → number, after it."""
    seen: dict[str, Any] = {}
    programs = [Running(lab, place, "sniff.py", address) for address in addresses]
    with running(programs):
        yield seen
        seen |= {address: int(each.end()) for address, each in zip(addresses, programs, strict=True)}


@dataclass(frozen=True, slots=True)
class Attempts:
    """How many connections were attempted from a place to an address, and how many were established."""

    where: str
    attempts: int
    connected: int


@contextmanager
def attempting(lab: Lab, *targets: tuple[str, str, int]) -> Iterator[list[Attempts]]:
    """Attempt each (place, address, port) without pause while the block runs; the counts are there after it."""
    counts: list[Attempts] = []
    programs = [Running(lab, place, "attempt.py", address, str(port)) for place, address, port in targets]
    with running(programs):
        yield counts
        for (place, address, _), each in zip(targets, programs, strict=True):
            counts.append(Attempts(f"{place} → {address}", **json.loads(each.end())))


def none_connected(counts: list[Attempts]) -> None:
    """Check that connections were attempted everywhere and none was established."""
    assert all(each.attempts for each in counts), f"nothing was attempted: {counts}"
    connected = [each for each in counts if each.connected]
    assert not connected, f"no connection may be established; came: {connected}"
