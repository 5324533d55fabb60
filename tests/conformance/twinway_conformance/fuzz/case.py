"""What one fuzz case is: cluster states to be in force one after the other, and what is asked in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from twinway_conformance.objects import Object
from twinway_conformance.probes import ANSWER_SECONDS, AT_ONCE_SECONDS, DROPPED, SILENCE_SECONDS, Answer, Query
from twinway_conformance.reference import expected

State = tuple[Object, ...]


@dataclass(frozen=True)
class Case:
    """States in order; the queries are asked in each of them."""

    states: tuple[State, ...]
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One query that went otherwise than the API says."""

    step: int
    """Which state it was asked in, from 0."""
    query: Query
    due: str
    came: str

    def __str__(self) -> str:
        """One line."""
        return f"step {self.step + 1}: {self.query}: {self.due} was due; came: {self.came}"


def patient(state: State, query: Query) -> Query:
    """
    The query with the patience that it needs in this state.

    Where silence alone is due, it is soon believed. A datagram is not sent again, so that waiting for its answer
    hides no loss; a SYN is, after a second.
    """
    fates = expected(state, query.source, query.to, query.protocol).fates
    if fates == {(DROPPED, None)}:
        return replace(query, timeout=SILENCE_SECONDS)
    return replace(query, timeout=ANSWER_SECONDS if query.protocol == "udp" else AT_ONCE_SECONDS)


def mismatches(
    step: int, state: State, queries: Sequence[Query], answers: Sequence[Sequence[Answer]]
) -> list[Mismatch]:
    """Every query whose answers the reference model does not allow, each once."""
    found = []
    for query, given in zip(queries, answers, strict=True):
        may = expected(state, query.source, query.to, query.protocol)
        wrong = [answer for answer in given if not may.meets(answer.outcome, answer.backend)]
        if wrong:
            found.append(Mismatch(step, query, str(may), str(wrong[0])))
    return found
