"""
Rulings: what the rules of a policy set say to one kind of peer, on every protocol and port.

Sayings stand in stages, as the tiers of the API do: Admin, then NetworkPolicy or Baseline, then the
default. In a stage the first saying that matches decides; Pass leaves the matter to the next stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from weakref import WeakValueDictionary

from twinway.compute.ids import content_id
from twinway.compute.policy.ports import LAST, Range, Segment, cut, prefixes
from twinway.model.net import Protocol
from twinway.model.node import Action, RuleId, Verdict
from twinway.model.policy import ClusterAction
from twinway.model.verdicts import VerdictRow

OTHER = 0
"""Stands for every protocol but TCP, UDP and SCTP."""
PROTOCOLS = (OTHER, *sorted(protocol.number for protocol in Protocol))

Span = tuple[int, int, int]
"""Protocol number, first and last port."""

_Ranges = tuple[Range, ...]
_Answer = tuple[int, int]
"""Action and rule, as numbers: cheap to compare."""


@dataclass(frozen=True, slots=True)
class Saying:
    """What one rule says to one kind of peer; `spans` is None for all protocols and ports."""

    stage: int
    action: ClusterAction
    rule: RuleId
    spans: tuple[Span, ...] | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Ruling:
    """Rows of a prefix table, sorted, for every protocol and port. Equal ones are one object."""

    id: int
    rows: tuple[VerdictRow, ...]
    rules: frozenset[RuleId]


class Rulings:
    """Makes rulings, and keeps each for as long as somebody uses it."""

    def __init__(self) -> None:
        """None is in use."""
        self._known: WeakValueDictionary[tuple[VerdictRow, ...], Ruling] = WeakValueDictionary()

    def decide(self, sayings: Sequence[Saying]) -> Ruling:
        """The ruling of these sayings, sorted by stage; the last one must be about everything."""
        rows = _all_rows(tuple(sayings))
        known = self._known.get(rows)
        if known is None:
            content = repr([(*row[:3], int(row[3].action), row[3].rule) for row in rows])
            rules = frozenset(verdict.rule for *_, verdict in rows)
            known = self._known[rows] = Ruling(content_id(b"ruling", content.encode()), rows, rules)
        return known


# Pods come under a plan, leave it and come back, one by one: it is worked out again each time.
@lru_cache(maxsize=1024)
def _all_rows(sayings: tuple[Saying, ...]) -> tuple[VerdictRow, ...]:
    # Protocols of which the sayings single out the same ports, none of most, have the same rows.
    rows: list[VerdictRow] = []
    known: dict[tuple[_Ranges, ...], list[tuple[int, int, Verdict]]] = {}
    for protocol in PROTOCOLS:
        ranges = tuple(_ranges(saying, protocol) for saying in sayings)
        if ranges not in known:
            known[ranges] = list(_rows(sayings, ranges))
        rows += [(protocol, *row) for row in known[ranges]]
    return tuple(rows)


def _rows(sayings: Sequence[Saying], ranges: Sequence[_Ranges]) -> Iterator[tuple[int, int, Verdict]]:
    for port, bits, (action, rule) in prefixes(_segments(sayings, ranges)):
        yield port, bits, Verdict(Action(action), RuleId(rule))


def _segments(sayings: Sequence[Saying], ranges: Sequence[_Ranges]) -> Iterator[Segment[_Answer]]:
    undecided: list[Range] = [(0, LAST)]
    for _, stage in groupby(zip(sayings, ranges, strict=True), lambda pair: pair[0].stage):
        passed: list[Range] = []
        for saying, singled_out in stage:
            found, undecided = cut(undecided, singled_out)
            if saying.action is ClusterAction.PASS:
                passed += found
                continue
            action = Action.ALLOW if saying.action is ClusterAction.ACCEPT else Action.DENY
            for first, last in found:
                yield first, last, (int(action), saying.rule)
        undecided += passed


def _ranges(saying: Saying, protocol: int) -> _Ranges:
    if saying.spans is None:
        return ((0, LAST),)
    return tuple([(first, last) for number, first, last in saying.spans if number == protocol])
