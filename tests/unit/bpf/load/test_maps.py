"""Real maps: batches, the error of a full map, and pinned maps of another shape."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twinway.errors import MapError
from twinway_bpf.load import libbpf, maps
from twinway_bpf.load.bundle import MapDecl
from twinway_bpf.load.maps import Map, open_pinned

HASH, ARRAY, PER_CPU_ARRAY, LRU_HASH, LPM_TRIE = 1, 2, 6, 9, 11
PLAIN = MapDecl("tw_slot_v1", HASH, 4, 8, 64, 1)
KINDS = {
    "hash": PLAIN,
    "lru hash": replace(PLAIN, kind=LRU_HASH, flags=0, max_entries=4096),
    "lpm trie": replace(PLAIN, kind=LPM_TRIE, key_size=8),
}
Make = Callable[[MapDecl], Map]


@pytest.fixture
def make() -> Iterator[Make]:
    """A function that creates maps; they are closed at the end."""
    made: list[Map] = []

    def new(decl: MapDecl) -> Map:
        made.append(maps.create(decl))
        return made[-1]

    yield new
    for each in made:
        os.close(each.descriptor)


def key(number: int, decl: MapDecl = PLAIN) -> bytes:
    """A key: a number, or a whole prefix of one."""
    head = (32).to_bytes(4, sys.byteorder) if decl.kind == LPM_TRIE else b""
    return head + number.to_bytes(4, "big")


def value(number: int) -> bytes:
    """A value of eight bytes."""
    return number.to_bytes(8, sys.byteorder)


@pytest.fixture(params=[1, 3, maps.BATCH], ids=["batches of 1", "batches of 3", "whole batches"])
def batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The entries of one call. With few, a bucket of a hash is larger than a call."""
    monkeypatch.setattr(maps, "BATCH", request.param)
    return int(request.param)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.dictionaries(st.integers(0, 300), st.integers(0, 2**64 - 1), max_size=60),
    gone=st.sets(st.integers(0, 300)),
)
def test_what_is_written_is_read(batch: int, kind: str, wanted: dict[int, int], gone: set[int]) -> None:
    """A map holds what was written and not removed, whatever the size of the batches."""
    decl = KINDS[kind]
    table = maps.create(decl)
    try:
        entries = {key(k, decl): value(v) for k, v in wanted.items()}
        table.write(entries)
        assert table.entries() == entries
        assert table.count() == len(entries)
        assert table.remove([key(k, decl) for k in sorted(gone)]) == len(gone & wanted.keys())
        left = {k: v for k, v in entries.items() if int.from_bytes(k[-4:], "big") not in gone}
        assert table.entries() == left
        assert all(table.lookup(key(k, decl)) == left.get(key(k, decl)) for k in range(40))
    finally:
        os.close(table.descriptor)


def test_more_than_one_batch(make: Make) -> None:
    """Ten thousand entries are written and read back, whole."""
    table = make(replace(PLAIN, max_entries=16384))
    entries = {key(number): value(number) for number in range(10000)}
    table.write(entries)
    assert table.entries() == entries


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_without_batches(make: Make, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a kernel has no batches for a type of map, entries are written one by one."""

    def unknown(*_: object) -> None:
        raise OSError(524, "unknown error 524")

    monkeypatch.setattr(libbpf, "map_update_batch", unknown)
    monkeypatch.setattr(libbpf, "map_lookup_batch", unknown)
    table = make(KINDS[kind])
    entries = {key(number, KINDS[kind]): value(number) for number in range(40)}
    table.write(entries)
    assert table.entries() == entries


@pytest.mark.parametrize("kind", ["hash", "lpm trie"])
@pytest.mark.parametrize("count", [1, 10], ids=["one entry", "a batch"])
def test_full_map_says_what_to_do(make: Make, kind: str, count: int) -> None:
    """The error of a full map names the map, its size and the setting that raises it; its entries stay."""
    table = make(replace(KINDS[kind], max_entries=3))
    held = {key(number, table.decl): value(number) for number in range(3)}
    table.write(held)
    more = {key(100 + number, table.decl): value(0) for number in range(count)}
    with pytest.raises(MapError) as raised:
        table.write(more)
    expected = "map tw_slot_v1: write: full at 3 entries: raise maps.slot in the node config"
    assert str(raised.value) == expected
    assert table.entries() == held


def test_entries_before_the_one_too_many_are_written(make: Make) -> None:
    """Of a batch that does not fit, the first entries are written, in order, until the map is full."""
    table = make(replace(PLAIN, max_entries=5))
    wanted = {key(number): value(number) for number in range(10)}
    with pytest.raises(MapError):
        table.write(wanted)
    assert table.entries() == dict(list(wanted.items())[:5])


def test_full_map_can_be_overwritten(make: Make) -> None:
    """A full map takes new values for its keys."""
    table = make(replace(PLAIN, max_entries=3))
    for added in range(2):
        table.write({key(number): value(number + added) for number in range(3)})
    assert table.entries() == {key(number): value(number + 1) for number in range(3)}


def test_insert_leaves_what_is_there(make: Make) -> None:
    """`insert` writes and counts new keys alone."""
    table = make(PLAIN)
    table.write({key(1): value(1)})
    assert table.insert({key(1): value(7), key(2): value(7)}) == 1
    assert table.entries() == {key(1): value(1), key(2): value(7)}


def test_counter_is_the_sum_of_all_processors(make: Make) -> None:
    """A per-CPU counter is read as one sum; a missing one is 0."""
    table = make(MapDecl("tw_count_v1", PER_CPU_ARRAY, 4, 8, 4, 0))
    each = [1 << (8 * number) for number in range(maps.possible_cpus())]
    libbpf.map_update(table.descriptor, key(0), b"".join(map(value, each)))
    assert table.lookup_sum(key(0)) == sum(each)
    assert table.lookup_sum(bytes((9, 0, 0, 0))) == 0


def test_key_that_is_not_there(make: Make) -> None:
    """A missing key is looked up as None, and removing it is no error."""
    table = make(PLAIN)
    assert table.lookup(key(1)) is None
    assert table.remove([key(1)]) == 0


def test_refused_map_is_an_error() -> None:
    """The error for a map that the kernel refuses has the map's name and the kernel's reason."""
    with pytest.raises(MapError, match=r"map tw_slot_v1: create: Invalid argument"):
        maps.create(replace(PLAIN, key_size=0))


OTHERS = {
    "another kind": replace(PLAIN, kind=LRU_HASH, flags=0),
    "a smaller value": replace(PLAIN, value_size=4),
    "a larger value": replace(PLAIN, value_size=16),
    "a smaller key": replace(PLAIN, key_size=2),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_foreign_shape_is_refused(make: Make, pins_root: Path, other: MapDecl) -> None:
    """A pinned map of another shape is refused with both shapes, and is left unchanged."""
    pins_root.mkdir()
    path = pins_root / "tw_slot_v1"
    foreign = make(other)
    entry = {bytes(other.key_size): bytes((7,)) * other.value_size}
    foreign.write(entry)
    libbpf.obj_pin(foreign.descriptor, str(path))
    with pytest.raises(MapError, match=r"has another shape .*: remove the file, or use another bpffs"):
        open_pinned(PLAIN, path)
    assert path.exists()
    assert foreign.entries() == entry


def test_pinned_map_brings_its_own_size(make: Make, pins_root: Path) -> None:
    """A pinned map of the right shape is opened with the size that it was created with."""
    pins_root.mkdir()
    path = pins_root / "tw_slot_v1"
    assert open_pinned(PLAIN, path) is None
    made = make(replace(PLAIN, max_entries=7))
    made.write({key(1): value(1)})
    libbpf.obj_pin(made.descriptor, str(path))
    found = open_pinned(PLAIN, path)
    assert found
    assert (found.decl.max_entries, found.entries()) == (7, {key(1): value(1)})
    os.close(found.descriptor)


def test_pin_that_is_no_map(pins_root: Path) -> None:
    """The error for a pin that is not a map has its path."""
    pins_root.mkdir()
    (pins_root / "tw_slot_v1").mkdir()
    with pytest.raises(MapError, match=r"map tw_slot_v1: open .*/tw_slot_v1: "):
        open_pinned(PLAIN, pins_root / "tw_slot_v1")


@pytest.mark.parametrize(
    ("name", "short"), [("tw_slot_v1", "slot"), ("tw_fe_v12", "fe"), ("tw_skpeer_v1", "skpeer")]
)
def test_short_name(name: str, short: str) -> None:
    """The short name of a map has no prefix and no version."""
    assert maps.short_name(name) == short
