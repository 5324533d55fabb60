"""One fuzz case: cluster states that are put in force one after the other, and the queries in each."""

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
    """One query whose answer differs from what the API says."""

    step: int
    """The index of the state in force."""
    query: Query
    due: str
    came: str

    def __str__(self) -> str:
        """`step 2: shop/client → 10.96.0.10:80 tcp: expected connected, got dropped`."""
        return f"step {self.step + 1}: {self.query}: expected {self.due}, got {self.came}"


def patient(state: State, query: Query) -> Query:
    """
    The query with the timeout that it needs in this state.

    Where only silence is correct, a short timeout suffices. A datagram is not sent again, so a long timeout hides
    no loss. A SYN is sent again after a second, so its timeout is shorter.
    """
    fates = expected(state, query.source, query.to, query.protocol).fates
    if fates == {(DROPPED, None)}:
        return replace(query, timeout=SILENCE_SECONDS)
    return replace(query, timeout=ANSWER_SECONDS if query.protocol == "udp" else AT_ONCE_SECONDS)


def mismatches(
    step: int, state: State, queries: Sequence[Query], answers: Sequence[Sequence[Answer]]
) -> list[Mismatch]:
    """Each query that got an answer which the reference model does not allow."""
    found = []
    for query, given in zip(queries, answers, strict=True):
        may = expected(state, query.source, query.to, query.protocol)
        wrong = [answer for answer in given if not may.meets(answer.outcome, answer.backend)]
        if wrong:
            found.append(Mismatch(step, query, str(may), str(wrong[0])))
    return found
