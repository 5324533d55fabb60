"""
The verdicts of policy sets in the kernel: written before pods switch to them, swept afterwards.

The verdict of a set for a class never changes, so entries are added and removed, but never overwritten. Entries
for classes that come into use are written before pods switch; no packet can look them up before that. Entries for
classes that are out of use are removed one step later, when programs that began under the old state have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from itertools import compress, count, islice
from operator import is_not

from twinway.errors import MapError
from twinway.model.node import ClassId, PolicySet, PolicySetId, PolicyState
from twinway.model.policy import Direction
from twinway.model.verdicts import GroupedEntries, VerdictGroup
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.sync import Step

SWEPT_AT_ONCE = 256
"""
The least number of unused entries that one step removes: a trie has no batched removal, and there is no hurry.

A step that wrote many removes twice as many, so that unused entries never outnumber those in use.
"""
CLEARED_AT_ONCE = 2_048
"""The number of unused entries that `clear` removes, when the agent has nothing else to do."""

PARTS_KEPT = 1_024
"""The number of encoded rows that are cached: most groups of a change share their rows with others."""

Groups = Sequence[VerdictGroup]
Entries = dict[bytes, bytes]


@dataclass(slots=True)
class Missing:
    """The difference between a state and the tables."""

    sets: list[PolicySet] = field(default_factory=list)
    """The sets that are new or have changed."""
    writes: Entries = field(default_factory=dict)
    over: list[bytes] = field(default_factory=list)
    """Keys of entries that these sets no longer have."""
    left: list[tuple[PolicySetId, Groups]] = field(default_factory=list)
    """Groups of classes that these sets no longer name; they are encoded when they are removed."""


class Leftovers:
    """Entries that are to be removed. Groups are encoded only when their entries are about to be removed."""

    def __init__(self, encode_groups: Callable[[PolicySetId, Groups], Entries]) -> None:
        self._encode = encode_groups
        self._keys: dict[bytes, None] = {}
        self._groups: list[tuple[PolicySetId, Groups]] = []

    def __bool__(self) -> bool:
        return bool(self._keys or self._groups)

    def add(self, keys: Iterable[bytes]) -> None:
        """Add entries by their keys."""
        self._keys.update(dict.fromkeys(keys))

    def add_groups(self, groups: Iterable[tuple[PolicySetId, Groups]]) -> None:
        """Add all entries of groups."""
        self._groups += groups

    def join(self, others: Leftovers) -> None:
        """Move all entries of `others` to this object."""
        self._keys |= others._keys
        self._groups += others._groups
        others._keys, others._groups = {}, []

    def keep(self, keys: Set[bytes]) -> None:
        """Drop keys that are in use again."""
        if keys:
            self._look_up()
        for key in keys & self._keys.keys():
            del self._keys[key]

    def first(self, most: int | None = None) -> list[bytes]:
        """The next keys to remove, at most `most`."""
        self._look_up(most)
        return list(islice(self._keys, most))

    def removed(self, keys: Iterable[bytes]) -> None:
        """Drop keys that have been removed from the table."""
        for key in keys:
            del self._keys[key]

    def _look_up(self, most: int | None = None) -> None:
        while self._groups and (most is None or len(self._keys) < most):
            self._keys.update(dict.fromkeys(self._encode(*self._groups.pop())))


class VerdictSets:
    """tw_verdict, by policy set."""

    def __init__(self, table: Map) -> None:
        self._table = table
        # Encoded rows by their id(). The rows are kept beside them, so that no other object gets the same id().
        self._parts: dict[tuple[int, int], tuple[object, list[encode.VerdictParts]]] = {}
        self._forget()

    def _forget(self) -> None:
        self._known: dict[PolicySetId, PolicySet] = {}
        self._found: dict[PolicySetId, Entries] = {}  # left by an earlier process, perhaps incomplete
        self._leaving = Leftovers(self._encode)  # unused when pods have switched
        self._over = Leftovers(self._encode)  # unused, to be swept
        self._written = 0  # entries since the last sweep

    def adopt(self) -> None:
        """Read the entries that an earlier process left."""
        self._forget()
        for key, value in self._table.entries().items():
            self._found.setdefault(encode.verdict_set(key), {})[key] = value

    def missing(self, policy: PolicyState) -> Missing:
        """What has to be written before pods switch to `policy`. Sets that are the same objects cost nothing."""
        missing = Missing()
        for policy_set in policy.sets.values():
            known = self._known.get(policy_set.id)
            if known is not None and known.entries is policy_set.entries:
                continue
            left, come = _apart(_groups(known) if known else (), _groups(policy_set))
            changed, over = _parted(left, {group[:2] for group in come})
            before = self._encode(policy_set.id, changed) if known else self._found.get(policy_set.id, {})
            after = self._encode(policy_set.id, come)
            missing.sets.append(policy_set)
            missing.writes.update(after.items() - before.items() if before else after)
            missing.over += before.keys() - after.keys()
            if over:
                missing.left.append((policy_set.id, over))
        return missing

    def write(self, missing: Missing) -> Step:
        """Write what is missing. If the table is full, sweep it and try once more."""
        for kept in (self._leaving, self._over):
            kept.keep(missing.writes.keys())
        try:
            self._table.write(missing.writes)
        except MapError:
            if not self._over:
                raise
            self._sweep(None)
            self._table.write(missing.writes)
        for policy_set in missing.sets:
            self._found.pop(policy_set.id, None)
            self._known[policy_set.id] = policy_set
        self._leaving.add(missing.over)
        self._leaving.add_groups(missing.left)
        self._written += len(missing.writes)
        return Step(len(missing.writes))

    def clear(self) -> int:
        """Remove unused entries, but no more than a few milliseconds' worth; return how many."""
        return self._sweep(CLEARED_AT_ONCE)

    def sweep(self, policy: PolicyState) -> Step:
        """Remove some unused entries, and note those that `policy`, which is now in force, does not use."""
        removed = self._sweep(max(SWEPT_AT_ONCE, 2 * self._written))
        self._written = 0
        for identity in self._known.keys() - policy.sets.keys():
            self._over.add_groups([(identity, _groups(self._known.pop(identity)))])
        for found in self._found.values():
            self._over.add(found)
        self._found = {}
        self._over.join(self._leaving)
        return Step(0, removed)

    def _encode(self, identity: PolicySetId, groups: Groups) -> Entries:
        found: Entries = {}
        for group in groups:
            known = self._parts.get((id(group.rows), group.direction))
            if known is None:
                if len(self._parts) >= PARTS_KEPT:
                    self._parts.clear()
                known = group.rows, encode.verdict_parts(group.direction, group.rows)
                self._parts[id(group.rows), group.direction] = known
            found.update(encode.verdict_entries(identity, group.address_class, known[1]))
        return found

    def _sweep(self, most: int | None) -> int:
        keys = self._over.first(most)
        removed = self._table.remove(keys)
        self._over.removed(keys)
        return removed


def _groups(policy_set: PolicySet) -> Groups:
    return GroupedEntries.of(policy_set.entries).groups


# Splits groups into those of the given directions and classes, and the others.
def _parted(groups: Groups, about: Set[tuple[Direction, ClassId]]) -> tuple[Groups, Groups]:
    if about.isdisjoint([group[:2] for group in groups]):
        return (), groups
    return [each for each in groups if each[:2] in about], [each for each in groups if each[:2] not in about]


# The groups of two states of one set that are not the same objects. Both are sorted and differ in few places, so
# equal groups at the beginning and at the end are skipped.
def _apart(old: Groups, new: Groups) -> tuple[Groups, Groups]:
    shorter = min(len(old), len(new))
    start = _alike(old, new, shorter)
    end = _alike(reversed(old), reversed(new), shorter - start)
    left = {id(group): group for group in old[start : len(old) - end]}
    come = {id(group): group for group in new[start : len(new) - end]}
    both = left.keys() & come.keys()
    before = tuple(group for key, group in left.items() if key not in both)
    return before, tuple(group for key, group in come.items() if key not in both)


def _alike(one: Iterable[VerdictGroup], other: Iterable[VerdictGroup], most: int) -> int:
    differ = map(is_not, islice(one, most), islice(other, most))
    return next(compress(count(), differ), most)
