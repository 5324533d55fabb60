"""
Write tables to maps: upserts in dependency order, removals in the reverse order.

That order is make-before-break: an entry is written before the entries that refer to it, and removed after them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinway_bpf.load.maps import Map

Writes = Sequence[tuple[Map, Mapping[bytes, bytes]]]
Removals = Sequence[tuple[Map, Sequence[bytes]]]


@dataclass(frozen=True, slots=True)
class Step:
    """How many entries were written and removed."""

    written: int = 0
    removed: int = 0

    def __add__(self, other: Step) -> Step:
        return Step(self.written + other.written, self.removed + other.removed)


def differences(
    tables: Sequence[Map], wanted: Sequence[Mapping[bytes, bytes]], *, remove: bool
) -> tuple[Writes, Removals]:
    """The writes and removals that make each map, as it is now, equal to what is wanted."""
    writes, removals = [], []
    for table, entries in zip(tables, wanted, strict=True):
        actual = table.entries()
        writes.append((table, {key: value for key, value in entries.items() if actual.get(key) != value}))
        removals.append((table, [key for key in actual if key not in entries] if remove else []))
    return writes, removals


def perform(plan: tuple[Writes, Removals]) -> Step:
    """Write from first to last, then remove from last to first. If a write raises MapError, nothing is removed."""
    writes, removals = plan
    for table, entries in writes:
        table.write(entries)
    removed = sum(table.remove(keys) for table, keys in reversed(removals))
    return Step(sum(len(entries) for _, entries in writes), removed)
