"""What changed between two mappings of immutable values, by identity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import compress
from operator import is_not
from typing import Any, TypeVar

V = TypeVar("V")


def difference(old: Mapping[Any, V], new: Mapping[Any, V]) -> tuple[list[V], list[V]]:
    """
    The values that left, and those that came.

    An equal value that is another object counts as both, which costs work and is never wrong.
    Cheap where most values stand in the same order: no key is looked up. No value may be in a
    mapping twice.
    """
    if old is new:
        return [], []
    if len(old) != len(new):
        return _apart(old.values(), new.values())
    differ = list(map(is_not, old.values(), new.values()))
    return _apart(compress(old.values(), differ), compress(new.values(), differ))


def unchanged(old: Mapping[Any, V], new: Mapping[Any, V]) -> bool:
    """Whether the same objects are in both."""
    return difference(old, new) == ([], [])


def _apart(before: Iterable[V], after: Iterable[V]) -> tuple[list[V], list[V]]:
    gone = {id(value): value for value in before}
    come = {id(value): value for value in after}
    for same in gone.keys() & come.keys():
        del gone[same], come[same]
    return list(gone.values()), list(come.values())
