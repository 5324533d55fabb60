"""
The class of each prefix in the kernel, in two generations. Pods use one of them.

This module mirrors the table in the order of the state's columns (`PrefixClasses`), and keeps the places at which
each generation differs from them. So a change costs in proportion to what it changes, and no prefix is looked up.
Prefixes that the kernel has but the state lacks follow after the columns.
"""

from __future__ import annotations

import sys
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
UNCLASSED = -1
"""In place of a class: the prefix is in the table, but has no class in this generation."""
WIDTH = 128
"""Bits of a prefix that is a single address."""


class ClassGenerations:
    """tw_class. After an error the mirror may differ from the kernel: call `adopt` again."""

    def __init__(self, table: Map) -> None:
        self._table = table
        self._load(())

    def adopt(self) -> None:
        """Read the entries that an earlier process left."""
        entries = self._table.entries().items()
        self._load([(_network(key), key, *_classes(value)) for key, value in entries])

    def holds(self, classes: Classes, generation: int) -> bool:
        """Whether a generation holds exactly `classes`."""
        self._align(classes)
        return not self._differing[generation]

    def fill(self, classes: Classes, using: int | None) -> int:
        """
        Fill the generation that is not `using`, or both if that is None; return how many entries were written.

        A new prefix must not change the class of its addresses in the generation in use, so it gets the class of
        the next shorter prefix there. A prefix that `classes` lacks stays until pods have switched.
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
        """
        Remove at most `most` prefixes that `classes` lacks; return how many.

        Pods must have switched to `classes`.
        """
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

    # The classes of the columns at these places; rows after the columns are to be removed.
    def _wanted(self, places: Iterable[int]) -> list[int]:
        ids = self._columns.ids
        inside = len(ids)
        return [ids[at] if at < inside else ABSENT for at in places]

    # Writes both generations of the rows at these places.
    def _write(self, places: Sequence[int]) -> None:
        encoded = _Halves()
        halves = [map(encoded.__getitem__, map(ids.__getitem__, places)) for ids in self._ids]
        self._table.write(dict(zip(map(self._keys.__getitem__, places), map(add, *halves), strict=True)))

    # Updates at which of these places a generation differs from the wanted classes.
    def _compare(self, generation: int, places: Sequence[int], wanted: Iterable[int]) -> None:
        ids, differing = self._ids[generation], self._differing[generation]
        if differing:
            differing.difference_update(places)
        differing.update([at for at, id_ in zip(places, wanted, strict=True) if ids[at] != id_])

    # Gives new prefixes the class that their addresses already have in the generation in use.
    def _repeat(self, using: int, changed: Iterable[int]) -> None:
        ids = self._ids[using]
        new = [at for at in changed if ids[at] == ABSENT]
        if new:
            around = self._around(ids.__getitem__)
            inherited = [around(self._keys[at]) for at in new]
            for at, id_ in zip(new, inherited, strict=True):
                ids[at] = id_
            self._compare(using, new, self._wanted(new))

    # A function from a key to the class of the next shorter prefix. Like the kernel, it compares mapped addresses.
    def _around(self, class_at: Callable[[int], int]) -> Callable[[bytes], int]:
        tables: dict[int, dict[int, int]] = {}
        for at, (bits, number) in self._broad.items():
            found = class_at(at)
            if found != ABSENT:
                tables.setdefault(WIDTH - bits, {})[number >> (WIDTH - bits)] = found
        levels = sorted(tables.items())
        least = levels[0][0] if levels else WIDTH
        # by the bits of the address that matter: thousands of addresses come and go together
        singles: dict[int, int] = {}

        def find(bits: int, number: int) -> int:
            for shift, table in levels:
                if shift > WIDTH - bits and number >> shift in table:
                    return table[number >> shift]
            return UNCLASSED

        def around(key: bytes) -> int:
            bits, number = encode.class_prefix(key)
            if bits < WIDTH:
                return find(bits, number)
            found = singles.get(number >> least)
            if found is None:
                found = singles[number >> least] = find(bits, number)
            return found

        return around

    # Arranges the rows in the order of `classes`, and updates where the generations differ from it.
    def _align(self, classes: Classes) -> None:
        if classes is self._aligned:
            return
        before, columns = self._columns, PrefixClasses.of(classes)
        places = columns.changed_since(before)
        self._columns, self._aligned = columns, classes
        moved = self._arrange(len(before.ids), places)
        level = not any(self._differing)  # both generations are the same, and comparing one is enough
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

    # Moves rows to the order of the columns; returns the places whose row has changed or is gone.
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

    # Writes a row at a place that has one, or right after the last.
    def _put(self, at: int, row: Row) -> None:
        network, key, first, second = row
        self._networks[at : at + 1] = [network]
        self._keys[at : at + 1] = [key]
        self._ids[0][at : at + 1] = [first]
        self._ids[1][at : at + 1] = [second]
        self._broad.pop(at, None)
        if not encode.is_single(key):
            self._broad[at] = encode.class_prefix(key)

    # Removes the gaps between the rows after the columns.
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
    # The encoded half of a value by class, cached: many addresses have the same class.
    def __missing__(self, id_: int) -> bytes:
        self[id_] = half = encode.class_half(max(id_, NO_CLASS))
        return half


def _new(network: IPNetwork) -> Row:
    return network, encode.class_key(network), ABSENT, ABSENT


def _classes(value: bytes) -> tuple[int, int]:
    first, second = encode.class_ids(value)
    return first or UNCLASSED, second or UNCLASSED


def _network(key: bytes) -> IPNetwork:
    bits = int.from_bytes(key[:4], sys.byteorder)
    address = encode.address_back(key[4:])
    if address.version == 4 and bits >= 96:
        return IPv4Network((address, bits - 96))
    found = ip_network((key[4:], bits))
    assert isinstance(found, IPv6Network)  # noqa: S101 (sixteen bytes)
    return found
