"""
The class of each prefix in the kernel, in two generations, of which pods look at one.

The table is kept here in the order of the state's own columns (`PrefixClasses`): what changed is found
by comparing columns, without looking any prefix up. What the state does not have, but the kernel
still does, stands after them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import compress, count
from operator import is_not, ne

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId
from twinway.model.prefixes import PrefixClasses
from twinway_bpf import encode
from twinway_bpf.maps import Map

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
        return self._ids[generation] == self._align(classes)

    def fill(self, classes: Classes, using: int | None) -> int:
        """
        Have the generation that is not `using`, or both, say what `classes` says; how many entries were written.

        A new prefix must not change what the generation in use says of its addresses: there it repeats
        the class of the prefix around it. One that ends keeps its place until pods have turned.
        """
        wanted = self._align(classes)
        idle = {0, 1} - {using}
        changed = sorted({at for generation in idle for at in _differing(self._ids[generation], wanted)})
        over = [at for at in changed if wanted[at] == ABSENT]
        if over:
            around = self._around(wanted)
            for at in over:
                wanted[at] = around(self._keys[at])
        if using is not None:
            self._repeat(using, changed)
        for generation in idle:
            self._ids[generation] = list(wanted)
        self._over[:] = over
        (first, second), keys = self._ids, self._keys
        self._table.write({keys[at]: _value(first[at], second[at]) for at in changed})
        return len(changed)

    def settle(self, classes: Classes) -> int:
        """Remove prefixes that `classes`, to which pods have turned, does not have; how many."""
        self._align(classes)
        removed = self._table.remove([self._keys[at] for at in self._over])
        for ids in self._ids:
            for at in self._over:
                ids[at] = ABSENT
        if self._over:
            self._cut(len(self._aligned))
            self._over.clear()
        return removed

    def _load(self, rows: Sequence[Row]) -> None:
        self._aligned: tuple[IPNetwork, ...] = ()
        self._networks: list[IPNetwork] = [row[0] for row in rows]
        self._keys: list[bytes] = [row[1] for row in rows]
        self._ids: list[list[int]] = [[row[2] for row in rows], [row[3] for row in rows]]
        self._broad = {at: key for at, key in enumerate(self._keys) if not encode.is_single(key)}
        self._over: list[int] = []  # what the last `fill` left for `settle`

    # What a new prefix says in the generation in use: what its addresses are told already.
    def _repeat(self, using: int, changed: Iterable[int]) -> None:
        ids = self._ids[using]
        new = [at for at in changed if ids[at] == ABSENT]
        if new:
            around = self._around(ids)
            told = [around(self._keys[at]) for at in new]
            for at, id_ in zip(new, told, strict=True):
                ids[at] = id_

    # What the nearest prefix around a key's says, as the kernel finds it: by the mapped address.
    def _around(self, ids: Sequence[int]) -> Callable[[bytes], int]:
        tables: dict[int, dict[int, int]] = {}
        for at, key in self._broad.items():
            if ids[at] != ABSENT:
                bits, number = encode.class_prefix(key)
                tables.setdefault(WIDTH - bits, {})[number >> (WIDTH - bits)] = ids[at]
        levels = sorted(tables.items())

        def around(key: bytes) -> int:
            bits, number = encode.class_prefix(key)
            for shift, table in levels:
                if shift > WIDTH - bits and number >> shift in table:
                    return table[number >> shift]
            return UNTOLD

        return around

    # Has the rows stand in the order of `classes`; the class of each, none for those that stand after.
    def _align(self, classes: Classes) -> list[int]:
        columns = PrefixClasses.of(classes)
        if columns.networks is not self._aligned:
            self._arrange(columns.networks)
            self._aligned = columns.networks
        return [*columns.ids, *[ABSENT] * (len(self._networks) - len(columns.ids))]

    def _arrange(self, networks: tuple[IPNetwork, ...]) -> None:
        ours = self._networks
        moved = list(compress(count(), map(is_not, ours, networks)))
        if not moved and len(networks) == len(self._aligned):
            return
        self._over.clear()  # the next `fill` finds them at their new places
        left = {ours[at]: self._row(at) for at in (*moved, *range(len(networks), len(ours)))}
        self._cut(len(networks))
        for at in (*moved, *range(len(ours), len(networks))):
            self._put(at, (networks[at], *(left.pop(networks[at], None) or _new(networks[at]))[1:]))
        for row in left.values():
            if row[2] != ABSENT:
                self._put(len(ours), row)

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
            self._broad[at] = key

    def _cut(self, length: int) -> None:
        for at in range(length, len(self._networks)):
            self._broad.pop(at, None)
        del self._networks[length:], self._keys[length:], self._ids[0][length:], self._ids[1][length:]


def _differing(ids: Sequence[int], wanted: Sequence[int]) -> Iterable[int]:
    return compress(count(), map(ne, ids, wanted))


def _new(network: IPNetwork) -> Row:
    return network, encode.class_key(network), ABSENT, ABSENT


def _told(value: bytes) -> tuple[int, int]:
    first, second = encode.class_ids(value)
    return first or UNTOLD, second or UNTOLD


@lru_cache(maxsize=4096)  # renamed together, many addresses have the same two
def _value(first: int, second: int) -> bytes:
    return encode.class_value(max(first, NO_CLASS), max(second, NO_CLASS))


def _network(key: bytes) -> IPNetwork:
    bits = int.from_bytes(key[:4], "little")
    address = encode.address_back(key[4:])
    if address.version == 4 and bits >= 96:
        return IPv4Network((address, bits - 96))
    found = ip_network((key[4:], bits))
    assert isinstance(found, IPv6Network)  # noqa: S101 (sixteen bytes)
    return found
