"""Port ranges into prefixes: a function of the port number as the fewest entries of a prefix table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

BITS = 16
LAST = (1 << BITS) - 1

Range = tuple[int, int]
"""First and last port, both included."""
V = TypeVar("V", bound=tuple[int, ...])
Segment = tuple[int, int, V]
"""First and last port, and what holds there."""


def cut(whole: Iterable[Range], by: Iterable[Range]) -> tuple[list[Range], list[Range]]:
    """
    The parts of `whole` inside any of `by`, and those outside all of them, both sorted.

    The ranges of `whole` do not overlap, those of `by` may. One pass over both, once they are sorted.
    """
    inside: list[Range] = []
    outside: list[Range] = []
    knives = _joined(by)
    at = 0
    for start, end in sorted(whole):
        while at < len(knives) and knives[at][1] < start:
            at += 1
        rest, each = start, at
        while each < len(knives) and knives[each][0] <= end:
            first, last = max(knives[each][0], start), min(knives[each][1], end)
            if rest < first:
                outside.append((rest, first - 1))
            inside.append((first, last))
            rest, each = last + 1, each + 1
        if rest <= end:
            outside.append((rest, end))
    return inside, outside


def cost(first: int, last: int) -> int:
    """How many prefixes it takes to say a range: 1 for a single port, 30 at most."""
    count = 0
    while first <= last:
        size = first & -first or 1 << BITS
        while first + size - 1 > last:
            size >>= 1
        count, first = count + 1, first + size
    return count


def _joined(ranges: Iterable[Range]) -> list[Range]:
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def prefixes(segments: Iterable[Segment[V]]) -> tuple[tuple[int, int, V], ...]:
    """
    The fewest (port, bits, value) whose longest match gives these values, sorted.

    `segments` cover every port once, in any order. The first entry is always 0/0: no port is left out.
    Source: Draves et al., Constructing Optimal IP Routing Tables (ORTC), INFOCOM 1999.
    """
    return tuple(_emit(_node(0, 0, _merged(sorted(segments))), None))


@dataclass(frozen=True, slots=True)
class _Node(Generic[V]):
    # A prefix, and the values that it may have at the least cost in entries below it.
    port: int
    bits: int
    values: frozenset[V]
    halves: tuple[_Node[V], ...]


def _merged(segments: Sequence[Segment[V]]) -> list[Segment[V]]:
    merged: list[Segment[V]] = []
    for first, last, value in segments:
        if merged and merged[-1][2] == value:
            merged[-1] = (merged[-1][0], last, value)
        else:
            merged.append((first, last, value))
    return merged


def _node(port: int, bits: int, segments: Sequence[Segment[V]]) -> _Node[V]:
    # `segments` cover the prefix exactly.
    if len(segments) == 1:
        return _Node(port, bits, frozenset({segments[0][2]}), ())
    middle = port + (1 << (BITS - bits - 1))
    left = _node(port, bits + 1, [(a, min(b, middle - 1), v) for a, b, v in segments if a < middle])
    right = _node(middle, bits + 1, [(max(a, middle), b, v) for a, b, v in segments if b >= middle])
    return _Node(port, bits, left.values & right.values or left.values | right.values, (left, right))


def _emit(node: _Node[V], inherited: V | None) -> Iterator[tuple[int, int, V]]:
    value = inherited
    if value is None or value not in node.values:
        # Any of them is right; the greatest, so that the choice is always the same.
        value = max(node.values)
        yield node.port, node.bits, value
    for half in node.halves:
        yield from _emit(half, value)
