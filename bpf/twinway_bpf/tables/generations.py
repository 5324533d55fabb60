"""
The class of each prefix in the kernel, in two generations, of which pods look at one.

The table is kept here in the order of the state's own columns (`PrefixClasses`), with the places at
which each generation differs from them: a change costs what it changes, and nothing is looked up by
prefix. What the state does not have, but the kernel still does, stands after the columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from operator import add

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId
from twinway.model.prefixes import PrefixClasses
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode

Classes = Mapping[IPNetwork, ClassId]
Row = tuple[IPNetwork, bytes, int, int]
"""A prefix, its key in the table, and the class in each generation."""

ABSENT = NO_CLASS
"""In place of a class, in both generations: the prefix is not in the table."""
UNTOLD = -1
"""In place of a class: the prefix is in the table, and has none in this generation."""
WIDTH = 128
"""Bits of a prefix that is a single address."""


class ClassGenerations:
    """tw_class. A failure leaves it unsure what the kernel holds: `adopt` again."""

    def __init__(self, table: Map) -> None:
        """The open map."""
        self._table = table
        self._load(())

    def adopt(self) -> None:
        """Read back what an earlier process left."""
        entries = self._table.entries().items()
        self._load([(_network(key), key, *_told(value)) for key, value in entries])

    def says(self, classes: Classes, generation: int) -> bool:
        """Whether a generation says just what `classes` says."""
        self._align(classes)
        return not self._differing[generation]

    def fill(self, classes: Classes, using: int | None) -> int:
        """
        Have the generation that is not `using`, or both, say what `classes` says; how many entries were written.

        A new prefix must not change what the generation in use says of its addresses: there it repeats
        the class of the prefix around it. One that ends keeps its place until pods have turned.
        """
        self._align(classes)
        idle = {0, 1} - {using}
        changed = list(set().union(*(self._differing[generation] for generation in idle)))
        wanted = self._wanted(changed)
        over = [at for at, id_ in zip(changed, wanted, strict=True) if id_ == ABSENT]
        if over:
            around = self._around(lambda at: self._wanted([at])[0])
            wanted = [id_ or around(self._keys[at]) for at, id_ in zip(changed, wanted, strict=True)]
        if using is not None:
            self._repeat(using, changed)
        for generation in idle:
            ids = self._ids[generation]
            for at, id_ in zip(changed, wanted, strict=True):
                ids[at] = id_
            self._differing[generation] = set(over)
        self._write(changed)
        return len(changed)

    def settle(self, classes: Classes, most: int | None = None) -> int:
        """Remove prefixes that `classes`, to which pods have turned, does not have: all or so many; how many."""
        self._align(classes)
        both = self._differing[0] & self._differing[1]
        over = [at for at, id_ in zip(both, self._wanted(both), strict=True) if id_ == ABSENT][:most]
        removed = self._table.remove([self._keys[at] for at in over])
        for ids, differing in zip(self._ids, self._differing, strict=True):
            for at in over:
                ids[at] = ABSENT
            differing.difference_update(over)
        self._close_up()
        return removed

    def _load(self, rows: Sequence[Row]) -> None:
        self._aligned: Classes | None = None
        self._columns = PrefixClasses()
        self._networks: list[IPNetwork] = [row[0] for row in rows]
        self._keys: list[bytes] = [row[1] for row in rows]
        self._ids: list[list[int]] = [[row[2] for row in rows], [row[3] for row in rows]]
        self._broad = {
            at: encode.class_prefix(key) for at, key in enumerate(self._keys) if not encode.is_single(key)
        }
        self._differing: list[set[int]] = [set(range(len(rows))), set(range(len(rows)))]

    # What the columns say at these places; what stands after them is wanted no more.
    def _wanted(self, places: Iterable[int]) -> list[int]:
        ids = self._columns.ids
        inside = len(ids)
        return [ids[at] if at < inside else ABSENT for at in places]

    # Both generations at these places.
    def _write(self, places: Sequence[int]) -> None:
        halves = _Halves()
        told = [map(halves.__getitem__, map(ids.__getitem__, places)) for ids in self._ids]
        self._table.write(dict(zip(map(self._keys.__getitem__, places), map(add, *told), strict=True)))

    # Notes at which of these places, of which this is wanted, a generation differs.
    def _compare(self, generation: int, places: Sequence[int], wanted: Iterable[int]) -> None:
        ids, differing = self._ids[generation], self._differing[generation]
        if differing:
            differing.difference_update(places)
        differing.update([at for at, id_ in zip(places, wanted, strict=True) if ids[at] != id_])

    # What a new prefix says in the generation in use: what its addresses are told already.
    def _repeat(self, using: int, changed: Iterable[int]) -> None:
        ids = self._ids[using]
        new = [at for at in changed if ids[at] == ABSENT]
        if new:
            around = self._around(ids.__getitem__)
            told = [around(self._keys[at]) for at in new]
            for at, id_ in zip(new, told, strict=True):
                ids[at] = id_
            self._compare(using, new, self._wanted(new))

    # What the nearest prefix around a key's says, as the kernel finds it: by the mapped address.
    def _around(self, says: Callable[[int], int]) -> Callable[[bytes], int]:
        tables: dict[int, dict[int, int]] = {}
        for at, (bits, number) in self._broad.items():
            said = says(at)
            if said != ABSENT:
                tables.setdefault(WIDTH - bits, {})[number >> (WIDTH - bits)] = said
        levels = sorted(tables.items())
        least = levels[0][0] if levels else WIDTH
        singles: dict[int, int] = {}  # by what of the address counts: thousands come and go together

        def find(bits: int, number: int) -> int:
            for shift, table in levels:
                if shift > WIDTH - bits and number >> shift in table:
                    return table[number >> shift]
            return UNTOLD

        def around(key: bytes) -> int:
            bits, number = encode.class_prefix(key)
            if bits < WIDTH:
                return find(bits, number)
            said = singles.get(number >> least)
            if said is None:
                said = singles[number >> least] = find(bits, number)
            return said

        return around

    # Has the rows stand in the order of `classes`, and knows where the generations differ from it.
    def _align(self, classes: Classes) -> None:
        if classes is self._aligned:
            return
        before, columns = self._columns, PrefixClasses.of(classes)
        places = columns.changed_since(before)
        self._columns, self._aligned = columns, classes
        moved = self._arrange(len(before.ids), places)
        level = not any(self._differing)  # then both generations say the same, and one look is enough
        for differing in self._differing:
            differing.difference_update(moved)
        there: Sequence[int] = places
        if moved:
            end = len(self._networks)
            there = [at for at in (*places, *moved) if at < end]
        wanted = self._wanted(there)
        self._compare(0, there, wanted)
        if level:
            self._differing[1] = set(self._differing[0])
        else:
            self._compare(1, there, wanted)

    # Places at which another row stands now, or none any more.
    def _arrange(self, old: int, places: Iterable[int]) -> Iterable[int]:
        ours, networks = self._networks, self._columns.networks
        new = len(networks)
        both = min(old, new)
        moved = [at for at in places if at < both and ours[at] is not networks[at]]
        if not moved and old == new:
            return ()
        end = len(ours)
        left = {ours[at]: self._row(at) for at in (*moved, *range(both, end))}
        self._cut(both)
        for at in (*moved, *range(both, new)):
            self._put(at, (networks[at], *(left.pop(networks[at], None) or _new(networks[at]))[1:]))
        for row in left.values():
            if row[2] != ABSENT:
                self._put(len(ours), row)
        return *moved, *range(both, max(end, len(ours)))

    def _row(self, at: int) -> Row:
        return self._networks[at], self._keys[at], self._ids[0][at], self._ids[1][at]

    # At a place that has a row, or right after the last.
    def _put(self, at: int, row: Row) -> None:
        network, key, first, second = row
        self._networks[at : at + 1] = [network]
        self._keys[at : at + 1] = [key]
        self._ids[0][at : at + 1] = [first]
        self._ids[1][at : at + 1] = [second]
        self._broad.pop(at, None)
        if not encode.is_single(key):
            self._broad[at] = encode.class_prefix(key)

    # Leaves no gap behind the columns.
    def _close_up(self) -> None:
        inside, end = len(self._columns.ids), len(self._networks)
        left = [self._row(at) for at in range(inside, end) if self._ids[0][at] != ABSENT]
        if len(left) == end - inside:
            return
        self._cut(inside)
        for row in left:
            self._put(len(self._networks), row)
        for differing in self._differing:
            differing.difference_update(range(inside, end))
            differing.update(range(inside, inside + len(left)))

    def _cut(self, length: int) -> None:
        for at in range(length, len(self._networks)):
            self._broad.pop(at, None)
        del self._networks[length:], self._keys[length:], self._ids[0][length:], self._ids[1][length:]


class _Halves(dict[int, bytes]):
    # What a value says of one generation, by class: many addresses have the same.
    def __missing__(self, id_: int) -> bytes:
        self[id_] = half = encode.class_half(max(id_, NO_CLASS))
        return half


def _new(network: IPNetwork) -> Row:
    return network, encode.class_key(network), ABSENT, ABSENT


def _told(value: bytes) -> tuple[int, int]:
    first, second = encode.class_ids(value)
    return first or UNTOLD, second or UNTOLD


def _network(key: bytes) -> IPNetwork:
    bits = int.from_bytes(key[:4], "little")
    address = encode.address_back(key[4:])
    if address.version == 4 and bits >= 96:
        return IPv4Network((address, bits - 96))
    found = ip_network((key[4:], bits))
    assert isinstance(found, IPv6Network)  # noqa: S101 (sixteen bytes)
    return found
