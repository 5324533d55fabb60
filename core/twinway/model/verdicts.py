"""The entries of a policy set in groups: all that it says in one direction to one class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, overload

from twinway.model.node import ClassId, Verdict, VerdictEntry
from twinway.model.policy import Direction

VerdictRow = tuple[int, int, int, Verdict]
"""Protocol number, port, bits of the port that count, verdict."""


class VerdictGroup(NamedTuple):
    """Some entries, in their order. Many groups have the same object for `rows`."""

    direction: Direction
    address_class: ClassId
    rows: tuple[VerdictRow, ...]


class GroupedEntries(Sequence[VerdictEntry]):
    """
    Entries that never change. Who looks at many may take `groups`.

    What two states of a set say to a class that both use is, as a rule, the same group object in both.
    """

    def __init__(self, groups: tuple[VerdictGroup, ...] = ()) -> None:
        """One group at most for each direction and class, sorted by these."""
        self.groups = groups

    @classmethod
    def of(cls, entries: Sequence[VerdictEntry]) -> GroupedEntries:
        """Any entries in groups; of those that are in groups already, themselves."""
        if isinstance(entries, cls):
            return entries
        found = groupby(entries, attrgetter("direction", "address_class"))
        return cls(tuple(VerdictGroup(*key, tuple(map(_row, group))) for key, group in found))

    @cached_property
    def _entries(self) -> tuple[VerdictEntry, ...]:
        return tuple(
            VerdictEntry(group.direction, group.address_class, *row) for group in self.groups for row in group.rows
        )

    @overload
    def __getitem__(self, at: int) -> VerdictEntry: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[VerdictEntry, ...]: ...
    def __getitem__(self, at: int | slice) -> VerdictEntry | tuple[VerdictEntry, ...]:
        """One entry, or some of them."""
        return self._entries[at]

    def __iter__(self) -> Iterator[VerdictEntry]:
        """One entry after the other."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many entries there are."""
        return sum(len(group.rows) for group in self.groups)

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same entries in the same order, in groups or not."""
        if isinstance(other, GroupedEntries):
            return self.groups == other.groups
        return self._entries == other

    def __hash__(self) -> int:
        """As the tuple of the same entries."""
        return hash(self._entries)


def _row(entry: VerdictEntry) -> VerdictRow:
    return entry.protocol, entry.port, entry.bits, entry.verdict
