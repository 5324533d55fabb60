"""
Sides: one direction of a plan, put down for every class with as few entries as can be.

A side has the rows of one ruling under class 0, and of other rulings under the classes that they
are for. The ruling under class 0 is the one that saves most; every address has a class of its own
(see `classes`), so class 0 is there for nothing else. With C(r) the classes in use to which the
side says r, and n(r) the rows of r, the number of its entries is

    n(d) + sum of |C(r)| * n(r) over the rulings r other than d,
    d being the ruling for which (|C(r)| - 1) * n(r) is greatest.

n(r) is 4, one for each protocol and one for all others, where ports do not matter; a single port
adds a row at most, a range of ports 30. To a class of which a side asks no atom it says what it
says to a class that no atom matches: a side grows with the classes that its own peers make out.

A side that would have more than `LIMIT` entries denies everything instead: whoever writes such
policies closes the pods that they select, and takes no other pod's place in the kernel's tables.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any
from weakref import WeakValueDictionary

from twinway.compute.classes.atoms import NO_ATOM, AtomId
from twinway.compute.classes.classes import AddressClass, ClassChange
from twinway.compute.policy.plan import Clause, Plan, content_of, rows_of, rule_id
from twinway.compute.policy.rulings import Ruling, Rulings, Saying, Span
from twinway.model.node import NO_CLASS, ClassId, RuleId
from twinway.model.policy import ClusterAction, Direction
from twinway.model.verdicts import VerdictGroup

Live = Mapping[ClassId, AddressClass]
_Hits = tuple[tuple[int, tuple[Span, ...] | None], ...]
"""Clauses that single a class out, by index, and what of them holds for it."""


_NONE: frozenset[Any] = frozenset()

LIMIT = 65_536
"""Entries that a side may have."""
ROWS = 8_192
"""Rows that the ports of its clauses may make, all together: it is not even tried with more."""


class Side:
    """
    What a plan says in one direction to each class in use, kept up to date.

    `default` stands under class 0, `explicit` under others, and `too_large` tells that there is
    nothing else than the closing rule. What is said to a class follows from its members and
    `content` alone: it is never another as long as the class and the plan are the same.
    """

    def __init__(self, plan: Plan, direction: Direction, rulings: Rulings) -> None:
        """No class is in use."""
        self._direction = direction
        self._clauses = plan.clauses[direction]
        self._rulings = rulings
        self._asking: dict[AtomId, list[int]] = {}
        for index, clause in enumerate(self._clauses):
            for atom in {*(clause.peers or ()), *(port for _, port in clause.named)}:
                self._asking.setdefault(atom, []).append(index)
        self._decided: WeakValueDictionary[_Hits, Ruling] = WeakValueDictionary()
        closing = Saying(0, ClusterAction.DENY, rule_id(plan.closing[direction]), None)
        self._closed = rulings.decide([closing])
        self._hopeless = sum(rows_of(clause) for clause in self._clauses) > ROWS
        self._plain = self._closed if self._hopeless else self._decide(())
        """What is said to a class of which no atom is asked."""
        self._special: dict[ClassId, Ruling] = {}
        """The classes to which something else is said."""
        self._counts: Counter[Ruling] = Counter()
        self._made: dict[ClassId, VerdictGroup] = {}
        self._order: list[ClassId] = []  # of those, sorted
        self._first = VerdictGroup(direction, NO_CLASS, ())
        self._chosen: Ruling | None = None
        self._most_saved = 0  # by another ruling than the plain one under class 0
        self.least = sys.maxsize
        """With fewer classes in use it may say something else, even where none that it asks for came or went."""
        self.content = content_of(self._clauses)
        self.default = self._plain
        self.explicit: Mapping[ClassId, Ruling] = self._special
        self.rules: frozenset[RuleId] = frozenset()
        """Those that `default` and `explicit` name."""
        self.groups: tuple[VerdictGroup, ...] = ()
        """Sorted: what is said under class 0, then under the others."""
        self.too_large = self._hopeless

    def update(self, change: ClassChange, live: Live) -> bool:
        """Take over classes that came and went; whether the entries are others now."""
        if len(live) >= self.least and self._asking.keys().isdisjoint(change.atoms):
            return False
        told, moved = (_NONE, _NONE) if self._hopeless else self._take(change)
        plain = len(live) - len(self._special)
        chosen = self._choose(plain)
        self.least = sys.maxsize
        if chosen is self._plain:
            self.least = len(self._special) + 1 + -(-self._most_saved // len(chosen.rows))
        if chosen is self._chosen and told <= {chosen}:
            return False
        counts = {**self._counts, self._plain: plain}
        del counts[chosen]
        size = len(chosen.rows) + sum(count * len(ruling.rows) for ruling, count in counts.items())
        said = [chosen, *(ruling for ruling, count in counts.items() if count)]
        self._chosen = chosen
        before = self.explicit
        self.too_large = self._hopeless or size > LIMIT
        if self.too_large:
            self.default, self.explicit, said = self._closed, {}, [self._closed]
        else:
            self.default, self.explicit = chosen, self._explicit(chosen, live)
        self.rules = frozenset().union(*(ruling.rules for ruling in said))
        if before is not self.explicit or before is not self._special:
            moved = self._made.keys() ^ self.explicit.keys()
        self.groups = self._groups(moved)
        return True

    def _take(self, change: ClassChange) -> tuple[Set[Ruling], Set[ClassId]]:
        # What is told to the classes that came, and was told to those that went; which of them asked for it.
        known = self._special.keys() & change.gone.ids
        told = {self._forget(id_) for id_ in known}
        having = change.come.having
        asked: dict[ClassId, AddressClass] = {}
        for atom in self._asking.keys() & having.keys():
            asked |= having[atom]
        told |= {self._learn(each) for each in asked.values()}
        if len(known) < len(change.gone.ids) or len(asked) < len(change.come.ids):
            told.add(self._plain)
        return told, known | asked.keys()

    def _learn(self, cls: AddressClass) -> Ruling:
        ruling = self._decide(self._hits(cls))
        if ruling is not self._plain:
            self._special[cls.id] = ruling
            self._counts[ruling] += 1
        return ruling

    def _forget(self, id_: ClassId) -> Ruling:
        ruling = self._special.pop(id_)
        self._counts[ruling] -= 1
        if not self._counts[ruling]:
            del self._counts[ruling]
        return ruling

    def _choose(self, plain: int) -> Ruling:
        # The ruling to stand under class 0, when `plain` classes are told nothing special.
        saved = (plain - 1) * len(self._plain.rows)
        saving = {ruling: (count - 1) * len(ruling.rows) for ruling, count in self._counts.items()}
        self._most_saved = max(saving.values(), default=0)
        better = [ruling for ruling, saves in saving.items() if saves > saved]
        return min(better, key=lambda each: (-saving[each], each.id), default=self._plain)

    def _explicit(self, chosen: Ruling, live: Live) -> Mapping[ClassId, Ruling]:
        if chosen is self._plain:
            return self._special
        said = {id_: self._special.get(id_, self._plain) for id_ in live}
        return {id_: ruling for id_, ruling in said.items() if ruling is not chosen}

    def _groups(self, moved: Set[ClassId]) -> tuple[VerdictGroup, ...]:
        # `moved` came to `explicit` or left it; the others have the groups that they had.
        for id_ in moved:
            self._made.pop(id_, None)
        come = [id_ for id_ in moved if id_ in self.explicit]
        self._order = [*filter(self._made.__contains__, self._order), *come]
        self._order.sort()  # few came: it is next to sorted
        for id_ in come:
            self._made[id_] = VerdictGroup(self._direction, id_, self.explicit[id_].rows)
        if self._first.rows is not self.default.rows:
            self._first = VerdictGroup(self._direction, NO_CLASS, self.default.rows)
        return (self._first, *map(self._made.__getitem__, self._order))

    def _hits(self, cls: AddressClass) -> _Hits:
        indices = {index for atom in self._asking.keys() & cls.atoms for index in self._asking[atom]}
        hits = ((index, _spans(self._clauses[index], cls)) for index in sorted(indices))
        return tuple((index, spans) for index, spans in hits if spans is None or spans)

    def _decide(self, hits: _Hits) -> Ruling:
        known = self._decided.get(hits)
        if known is None:
            known = self._decided[hits] = self._rulings.decide(list(self._sayings(dict(hits))))
        return known

    def _sayings(self, hits: Mapping[int, tuple[Span, ...] | None]) -> Iterator[Saying]:
        for index, clause in enumerate(self._clauses):
            if index in hits:
                yield Saying(clause.stage, clause.action, clause.rule, hits[index])
            elif clause.peers is None:
                yield Saying(clause.stage, clause.action, clause.rule, clause.spans)


def _spans(clause: Clause, cls: AddressClass) -> tuple[Span, ...] | None:
    # What of a clause holds for a class; nothing where it has no part in it.
    spans: tuple[Span, ...] | None = ()
    if clause.peers is None or not clause.peers.isdisjoint(cls.atoms):
        spans = clause.spans
    if spans is None:
        return None
    for peer, port in clause.named:
        if peer == NO_ATOM or peer in cls.atoms:
            spans = (*spans, *((protocol, number, number) for protocol, number in cls.ports.get(port, ())))
    return spans
