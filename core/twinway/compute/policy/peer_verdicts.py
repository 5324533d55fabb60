"""
What the rules of a policy set decide for one kind of peer, on every protocol and port.

Rule effects stand in stages, as the tiers of the API do: Admin, then NetworkPolicy or Baseline, then
the default. In a stage the first effect that matches decides; Pass leaves the decision to the next stage.
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
class RuleEffect:
    """What one rule does to one kind of peer; `spans` is None for all protocols and ports."""

    stage: int
    action: ClusterAction
    rule: RuleId
    spans: tuple[Span, ...] | None


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class PeerVerdicts:
    """Rows of a prefix table, sorted, for every protocol and port. Equal verdicts are one object."""

    id: int
    rows: tuple[VerdictRow, ...]
    rules: frozenset[RuleId]


class VerdictsInUse:
    """Makes `PeerVerdicts`, and keeps each for as long as a policy set uses it."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[VerdictRow, ...], PeerVerdicts] = WeakValueDictionary()

    def decide(self, effects: Sequence[RuleEffect]) -> PeerVerdicts:
        """The verdicts of these effects, which are sorted by stage; the last one must match everything."""
        rows = _all_rows(tuple(effects))
        known = self._known.get(rows)
        if known is None:
            content = repr([(*row[:3], int(row[3].action), row[3].rule) for row in rows])
            rules = frozenset(verdict.rule for *_, verdict in rows)
            known = self._known[rows] = PeerVerdicts(content_id(b"peer verdicts", content.encode()), rows, rules)
        return known


# Pods join and leave a plan one by one, and each time the same effects are decided again.
@lru_cache(maxsize=1024)
def _all_rows(effects: tuple[RuleEffect, ...]) -> tuple[VerdictRow, ...]:
    # Protocols have equal rows where the effects name the same ports of them. Most effects name none.
    rows: list[VerdictRow] = []
    known: dict[tuple[_Ranges, ...], list[tuple[int, int, Verdict]]] = {}
    for protocol in PROTOCOLS:
        ranges = tuple(_ranges(effect, protocol) for effect in effects)
        if ranges not in known:
            known[ranges] = list(_rows(effects, ranges))
        rows += [(protocol, *row) for row in known[ranges]]
    return tuple(rows)


def _rows(effects: Sequence[RuleEffect], ranges: Sequence[_Ranges]) -> Iterator[tuple[int, int, Verdict]]:
    for port, bits, (action, rule) in prefixes(_segments(effects, ranges)):
        yield port, bits, Verdict(Action(action), RuleId(rule))


def _segments(effects: Sequence[RuleEffect], ranges: Sequence[_Ranges]) -> Iterator[Segment[_Answer]]:
    undecided: list[Range] = [(0, LAST)]
    for _, stage in groupby(zip(effects, ranges, strict=True), lambda pair: pair[0].stage):
        passed: list[Range] = []
        for effect, singled_out in stage:
            found, undecided = cut(undecided, singled_out)
            if effect.action is ClusterAction.PASS:
                passed += found
                continue
            action = Action.ALLOW if effect.action is ClusterAction.ACCEPT else Action.DENY
            for first, last in found:
                yield first, last, (int(action), effect.rule)
        undecided += passed


def _ranges(effect: RuleEffect, protocol: int) -> _Ranges:
    if effect.spans is None:
        return ((0, LAST),)
    return tuple([(first, last) for number, first, last in effect.spans if number == protocol])
