"""
The entries of one direction of a plan, for every class, as few as can be.

A direction has the verdicts of one kind of peer under class 0, and others under the classes that they
are for. The verdicts under class 0 are those that save most; every address has a class of its own (see
`classes`), so class 0 serves no other purpose. With C(v) the classes in use that have the verdicts v,
and n(v) the rows of v, the number of entries is

    n(d) + sum of |C(v)| * n(v) over the verdicts v other than d,
    d being those for which (|C(v)| - 1) * n(v) is greatest.

n(v) is 4 where ports do not matter: one row for each protocol, and one for all others. A single port
adds at most one row, a range of ports 30. A class that matches no atom of a direction has the verdicts
of a class that matches no atom at all: a direction grows with the classes that its own peers make.

A direction that would have more than `LIMIT` entries denies everything instead: policies that make so
many close the pods that they select, and take no room in the kernel's tables from other pods.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any
from weakref import WeakValueDictionary

from twinway.compute.classes.atoms import NO_ATOM, AtomId
from twinway.compute.classes.classes import AddressClass, ClassChange
from twinway.compute.policy.peer_verdicts import PeerVerdicts, RuleEffect, Span, VerdictsInUse
from twinway.compute.policy.plan import Clause, Plan, content_of, rows_of, rule_id
from twinway.model.node import NO_CLASS, ClassId, RuleId
from twinway.model.policy import ClusterAction, Direction
from twinway.model.verdicts import VerdictGroup

Live = Mapping[ClassId, AddressClass]
_Hits = tuple[tuple[int, tuple[Span, ...] | None], ...]
"""Clauses whose atoms match a class, by index, and the part of each that holds for it."""

_NONE: frozenset[Any] = frozenset()

LIMIT = 65_536
"""Entries that a direction may have."""
ROWS = 8_192
"""Rows that the ports of its clauses may make together; with more the entries are not even computed."""


class DirectionEntries:
    """
    The verdicts of one direction of a plan on each class in use, kept up to date.

    `default` stands under class 0, `explicit` under others. `too_large` is set where the closing rule
    replaces everything. The verdicts on a class follow from its members and `content` alone, so they
    never change while the class and the plan are the same.
    """

    def __init__(self, plan: Plan, direction: Direction, in_use: VerdictsInUse) -> None:
        self._direction = direction
        self._clauses = plan.clauses[direction]
        self._in_use = in_use
        self._asking: dict[AtomId, list[int]] = {}
        for index, clause in enumerate(self._clauses):
            for atom in {*(clause.peers or ()), *(port for _, port in clause.named)}:
                self._asking.setdefault(atom, []).append(index)
        self._decided: WeakValueDictionary[_Hits, PeerVerdicts] = WeakValueDictionary()
        closing = RuleEffect(0, ClusterAction.DENY, rule_id(plan.closing[direction]), None)
        self._closed = in_use.decide([closing])
        self._hopeless = sum(rows_of(clause) for clause in self._clauses) > ROWS
        self._plain = self._closed if self._hopeless else self._decide(())
        """The verdicts on a class that matches no atom of this direction."""
        self._special: dict[ClassId, PeerVerdicts] = {}
        """The classes that have other verdicts than the plain ones."""
        self._counts: Counter[PeerVerdicts] = Counter()
        self._made: dict[ClassId, VerdictGroup] = {}
        self._order: list[ClassId] = []  # the keys of `_made`, sorted
        self._first = VerdictGroup(direction, NO_CLASS, ())
        self._chosen: PeerVerdicts | None = None
        self._most_saved = 0  # by other verdicts than the plain ones under class 0
        self.least = sys.maxsize
        """With fewer classes in use the choice for class 0 may change, though no class of its atoms changed."""
        self.content = content_of(self._clauses)
        self.default = self._plain
        self.explicit: Mapping[ClassId, PeerVerdicts] = self._special
        self.rules: frozenset[RuleId] = frozenset()
        """The rules that `default` and `explicit` name."""
        self.groups: tuple[VerdictGroup, ...] = ()
        """Sorted: the entries under class 0, then those under the others."""
        self.too_large = self._hopeless

    def update(self, change: ClassChange, live: Live) -> bool:
        """Take over classes that came and went; returns whether the entries changed."""
        if len(live) >= self.least and self._asking.keys().isdisjoint(change.atoms):
            return False
        affected, moved = (_NONE, _NONE) if self._hopeless else self._take(change)
        plain = len(live) - len(self._special)
        chosen = self._choose(plain)
        self.least = sys.maxsize
        if chosen is self._plain:
            self.least = len(self._special) + 1 + -(-self._most_saved // len(chosen.rows))
        if chosen is self._chosen and affected <= {chosen}:
            return False
        counts = {**self._counts, self._plain: plain}
        del counts[chosen]
        size = len(chosen.rows) + sum(count * len(verdicts.rows) for verdicts, count in counts.items())
        used = [chosen, *(verdicts for verdicts, count in counts.items() if count)]
        self._chosen = chosen
        before = self.explicit
        self.too_large = self._hopeless or size > LIMIT
        if self.too_large:
            self.default, self.explicit, used = self._closed, {}, [self._closed]
        else:
            self.default, self.explicit = chosen, self._explicit(chosen, live)
        self.rules = frozenset().union(*(verdicts.rules for verdicts in used))
        if before is not self.explicit or before is not self._special:
            moved = self._made.keys() ^ self.explicit.keys()
        self.groups = self._groups(moved)
        return True

    def _take(self, change: ClassChange) -> tuple[Set[PeerVerdicts], Set[ClassId]]:
        # Returns the verdicts of the classes that came or went, and those of them that match an own atom.
        known = self._special.keys() & change.gone.ids
        affected = {self._forget(id_) for id_ in known}
        having = change.come.having
        asked: dict[ClassId, AddressClass] = {}
        for atom in self._asking.keys() & having.keys():
            asked |= having[atom]
        affected |= {self._learn(each) for each in asked.values()}
        if len(known) < len(change.gone.ids) or len(asked) < len(change.come.ids):
            affected.add(self._plain)
        return affected, known | asked.keys()

    def _learn(self, cls: AddressClass) -> PeerVerdicts:
        verdicts = self._decide(self._hits(cls))
        if verdicts is not self._plain:
            self._special[cls.id] = verdicts
            self._counts[verdicts] += 1
        return verdicts

    def _forget(self, id_: ClassId) -> PeerVerdicts:
        verdicts = self._special.pop(id_)
        self._counts[verdicts] -= 1
        if not self._counts[verdicts]:
            del self._counts[verdicts]
        return verdicts

    def _choose(self, plain: int) -> PeerVerdicts:
        # The verdicts for class 0, where `plain` classes have the plain verdicts.
        saved = (plain - 1) * len(self._plain.rows)
        saving = {verdicts: (count - 1) * len(verdicts.rows) for verdicts, count in self._counts.items()}
        self._most_saved = max(saving.values(), default=0)
        better = [verdicts for verdicts, saves in saving.items() if saves > saved]
        return min(better, key=lambda each: (-saving[each], each.id), default=self._plain)

    def _explicit(self, chosen: PeerVerdicts, live: Live) -> Mapping[ClassId, PeerVerdicts]:
        if chosen is self._plain:
            return self._special
        every = {id_: self._special.get(id_, self._plain) for id_ in live}
        return {id_: verdicts for id_, verdicts in every.items() if verdicts is not chosen}

    def _groups(self, moved: Set[ClassId]) -> tuple[VerdictGroup, ...]:
        # `moved` came into `explicit` or left it; the groups of the others stay.
        for id_ in moved:
            self._made.pop(id_, None)
        come = [id_ for id_ in moved if id_ in self.explicit]
        self._order = [*filter(self._made.__contains__, self._order), *come]
        self._order.sort()  # few came, so the list is nearly sorted
        for id_ in come:
            self._made[id_] = VerdictGroup(self._direction, id_, self.explicit[id_].rows)
        if self._first.rows is not self.default.rows:
            self._first = VerdictGroup(self._direction, NO_CLASS, self.default.rows)
        return (self._first, *map(self._made.__getitem__, self._order))

    def _hits(self, cls: AddressClass) -> _Hits:
        indices = {index for atom in self._asking.keys() & cls.atoms for index in self._asking[atom]}
        hits = ((index, _spans(self._clauses[index], cls)) for index in sorted(indices))
        return tuple((index, spans) for index, spans in hits if spans is None or spans)

    def _decide(self, hits: _Hits) -> PeerVerdicts:
        known = self._decided.get(hits)
        if known is None:
            known = self._decided[hits] = self._in_use.decide(list(self._effects(dict(hits))))
        return known

    def _effects(self, hits: Mapping[int, tuple[Span, ...] | None]) -> Iterator[RuleEffect]:
        for index, clause in enumerate(self._clauses):
            if index in hits:
                yield RuleEffect(clause.stage, clause.action, clause.rule, hits[index])
            elif clause.peers is None:
                yield RuleEffect(clause.stage, clause.action, clause.rule, clause.spans)


def _spans(clause: Clause, cls: AddressClass) -> tuple[Span, ...] | None:
    # The part of a clause that holds for a class; empty where none does.
    spans: tuple[Span, ...] | None = ()
    if clause.peers is None or not clause.peers.isdisjoint(cls.atoms):
        spans = clause.spans
    if spans is None:
        return None
    for peer, port in clause.named:
        if peer == NO_ATOM or peer in cls.atoms:
            spans = (*spans, *((protocol, number, number) for protocol, number in cls.ports.get(port, ())))
    return spans
