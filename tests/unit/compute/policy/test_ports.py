"""Port ranges as prefixes: exact, and as few as can be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinway.compute.policy.ports import LAST, cut, prefixes

A, B, C = (1, 1), (2, 2), (1, 3)
Segment = tuple[int, int, tuple[int, int]]


@st.composite
def functions(draw: st.DrawFn) -> list[Segment]:
    """A function of the port: a few borders, a value between each two."""
    borders = sorted(draw(st.sets(st.integers(1, LAST), max_size=6)))
    edges = [0, *borders, LAST + 1]
    values = st.sampled_from([A, B, C])
    return [(first, after - 1, draw(values)) for first, after in pairwise(edges)]


def matched(table: Sequence[Segment], port: int) -> tuple[int, int]:
    """The value of the longest prefix that holds a port."""
    holding = [row for row in table if port >> (16 - row[1]) == row[0] >> (16 - row[1])]
    return max(holding, key=lambda row: row[1])[2]


def values(segments: Sequence[Segment], port: int) -> tuple[int, int]:
    """The value of the segment that holds a port."""
    return next(value for first, last, value in segments if first <= port <= last)


@settings(max_examples=200, deadline=None)
@given(functions(), st.randoms())
def test_the_longest_match_is_the_function(segments: list[Segment], shuffler: Random) -> None:
    """At every border, on both sides, and in between; the order of segments does not matter."""
    mixed = list(segments)
    shuffler.shuffle(mixed)
    table = prefixes(mixed)
    assert table[0][:2] == (0, 0)
    assert len({row[:2] for row in table}) == len(table)
    for first, last, _ in segments:
        for port in {first, last, (first + last) // 2}:
            assert matched(table, port) == values(segments, port)


@pytest.mark.parametrize(
    ("segments", "entries"),
    [
        ([(0, LAST, A)], 1),
        ([(0, 79, A), (80, 80, B), (81, LAST, A)], 2),
        ([(0, 1023, A), (1024, LAST, B)], 2),
        ([(0, 32767, A), (32768, LAST, B)], 2),
        ([(0, 1, A), (2, 2, B), (3, 3, C), (4, LAST, A)], 3),
        ([(0, 99, A), (100, 199, B), (200, LAST, A)], 5),
    ],
)
def test_prefixes_are_few(segments: list[Segment], entries: int) -> None:
    """A single port costs one entry above the one for all the others; a range what its ends cost."""
    assert len(prefixes(segments)) == entries


@settings(max_examples=200, deadline=None)
@given(functions(), st.integers(0, LAST), st.integers(0, LAST))
def test_a_port_adds_a_row_at_most_and_a_range_thirty(segments: list[Segment], one: int, other: int) -> None:
    """As the formula of `directions` says, whatever is there already."""
    before = len(prefixes(segments))
    assert len(prefixes(painted(segments, one, one))) <= before + 1
    assert len(prefixes(painted(segments, *sorted((one, other))))) <= before + 30


def painted(segments: list[Segment], first: int, last: int) -> list[Segment]:
    """The same function with another value from `first` to `last`."""
    rest = [
        (start, end, value)
        for low, high, value in segments
        for start, end in cut([(low, high)], [(first, last)])[1]
    ]
    return [*rest, (first, last, (9, 9))]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted).map(tuple), max_size=4),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted).map(tuple), max_size=4),
)
def test_cut_parts_a_set_of_ports_in_two(whole: list[tuple[int, int]], by: list[tuple[int, int]]) -> None:
    """What is inside and what is outside, each port once, and nothing else."""
    distinct, _ = cut([(0, 50)], whole)
    inside, outside = cut(distinct, by)
    ports = [port for first, last in distinct for port in range(first, last + 1)]
    knife = {port for first, last in by for port in range(first, last + 1)}
    assert sorted(ports) == sorted(set(ports))
    assert sorted(port for first, last in inside for port in range(first, last + 1)) == sorted(
        port for port in ports if port in knife
    )
    assert sorted(port for first, last in outside for port in range(first, last + 1)) == sorted(
        port for port in ports if port not in knife
    )
