"""
The class of each prefix in the kernel, in two generations, of which pods look at one.

The table is kept here as columns in the order of the state's own mapping, which compute keeps: what
changed is found by comparing columns, without looking any prefix up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import compress, count
from operator import eq, is_, is_not, ne
from typing import Any

from twinway.model.net import IPNetwork
from twinway.model.node import ClassId
from twinway_bpf import encode
from twinway_bpf.maps import Map

Classes = Mapping[IPNetwork, ClassId]
Row = tuple[IPNetwork, bytes, int, int]
"""A prefix, its key in the table, and the class in each generation."""

UNWRITTEN = -1
"""In place of a class: the prefix is not in the table yet."""
FEW = 64
"""So many rows are taken out of the columns one by one, more by writing the columns anew."""
_BROAD = bytes(bits != 128 for bits in range(256))
"""For each length of a prefix whether it is one around others."""


class ClassGenerations:
    """tw_class. A failure leaves it unsure what the kernel holds: `adopt` again."""

    def __init__(self, table: Map) -> None:
        """The open map."""
        self._table = table
        self._load(())

    def adopt(self) -> None:
        """Read back what an earlier process left."""
        entries = self._table.entries().items()
        self._load([(_network(key), key, *encode.class_ids(value)) for key, value in entries])

    def says(self, classes: Classes, generation: int) -> bool:
        """Whether a generation says just what `classes` says."""
        self._align(classes)
        return len(self._networks) == len(classes) and self._ids[generation] == list(classes.values())

    def fill(self, classes: Classes, using: int | None) -> int:
        """
        Have the generation that is not `using`, or both, say what `classes` says; how many entries were written.

        A new prefix must not change what the generation in use says of its addresses: there it repeats
        the class of the prefix around it. One that ends keeps its place until pods have turned.
        """
        self._align(classes)
        wanted: list[int] = list(classes.values())
        over = self._networks[len(wanted) :]
        if over:
            wanted += map(self._around(wanted), over)
        if using is not None:
            self._repeat(using)
        changed: set[int] = set()
        for generation in {0, 1} - {using}:
            changed.update(compress(count(), map(ne, self._ids[generation], wanted)))
            self._ids[generation] = list(wanted)
        keys, (first, second) = self._keys, self._ids
        self._table.write({keys[at]: encode.class_value(first[at], second[at]) for at in sorted(changed)})
        return len(changed)

    def settle(self, classes: Classes) -> int:
        """Remove prefixes that `classes`, to which pods have turned, does not have; how many."""
        self._align(classes)
        removed = self._table.remove(self._keys[len(classes) :])
        for column in self._columns():
            del column[len(classes) :]
        return removed

    def _load(self, rows: Sequence[Row]) -> None:
        self._aligned: Classes | None = None
        self._networks: list[IPNetwork] = [row[0] for row in rows]
        self._keys: list[bytes] = [row[1] for row in rows]
        self._bits = bytearray(row[1][0] for row in rows)
        self._ids: list[list[int]] = [[row[2] for row in rows], [row[3] for row in rows]]

    def _columns(self) -> tuple[list[Any] | bytearray, ...]:
        return (self._networks, self._keys, self._bits, *self._ids)

    # What a new prefix says in the generation in use: what its addresses are told already.
    def _repeat(self, using: int) -> None:
        ids = self._ids[using]
        if UNWRITTEN not in ids:
            return
        first = ids.index(UNWRITTEN)
        around = self._around(ids)
        for at in list(compress(count(first), map(partial(eq, UNWRITTEN), ids[first:]))):
            ids[at] = around(self._networks[at])

    # What the nearest prefix around one says. Single addresses, which are most, are around none.
    def _around(self, ids: Sequence[int]) -> Callable[[IPNetwork], int]:
        tables: dict[tuple[int, int], dict[int, int]] = {}  # by family and bits, longest first
        for at in sorted(self._broad(ids), key=self._bits.__getitem__, reverse=True):
            network = self._networks[at]
            table = tables.setdefault((network.version, network.prefixlen), {})
            table[int(network.network_address) >> (network.max_prefixlen - network.prefixlen)] = ids[at]

        def around(network: IPNetwork) -> int:
            number, width = int(network.network_address), network.max_prefixlen
            for (version, bits), table in tables.items():
                if version == network.version and bits < network.prefixlen and number >> (width - bits) in table:
                    return table[number >> (width - bits)]
            return 0

        return around

    def _broad(self, ids: Sequence[int]) -> list[int]:
        places = compress(range(len(ids)), self._bits.translate(_BROAD))
        return [at for at in places if ids[at] != UNWRITTEN]

    # Columns in the order of `classes`, and after that what is over.
    def _align(self, classes: Classes) -> None:
        if classes is self._aligned:
            return
        self._aligned = classes
        networks = list(classes)
        if len(networks) <= len(self._networks) and all(map(is_, networks, self._networks)):
            return
        left = _left(self._networks, networks)
        kept = len(self._networks) - len(left)
        rows = self._take(left) if left else []
        come = networks[kept:]
        taken = {row[0]: row for row in rows} if come else {}
        for network in come:
            row = taken.pop(network, None) if taken else None
            self._put((network, *(row or _new(network))[1:]))
        for row in taken.values() if come else rows:
            self._put(row)

    def _take(self, positions: Sequence[int]) -> list[Row]:
        rows = [(self._networks[at], self._keys[at], self._ids[0][at], self._ids[1][at]) for at in positions]
        if len(positions) <= FEW:
            for column in self._columns():
                for at in reversed(positions):
                    del column[at]
            return rows
        staying = bytearray(b"\1") * len(self._networks)
        for at in positions:
            staying[at] = 0
        for column in self._columns():
            column[:] = compress(column, staying)
        return rows

    def _put(self, row: Row) -> None:
        self._networks.append(row[0])
        self._keys.append(row[1])
        self._bits.append(row[1][0])
        self._ids[0].append(row[2])
        self._ids[1].append(row[3])


# Positions in `ours` of what `networks` does not have in the same order, so that the rest are the first of those.
def _left(ours: Sequence[IPNetwork], networks: Sequence[IPNetwork]) -> list[int]:
    start = next(compress(count(), map(is_not, ours, networks)), min(len(ours), len(networks)))
    left: list[int] = []
    coming = iter(networks[start:])
    awaited = next(coming, None)
    for at, network in enumerate(ours[start:], start):
        if network is awaited:
            awaited = next(coming, None)
        else:
            left.append(at)
    return left


def _new(network: IPNetwork) -> Row:
    return network, encode.class_key(network), UNWRITTEN, UNWRITTEN


def _network(key: bytes) -> IPNetwork:
    bits = int.from_bytes(key[:4], "little")
    address = encode.address_back(key[4:])
    if address.version == 4 and bits >= 96:
        return IPv4Network((address, bits - 96))
    found = ip_network((key[4:], bits))
    assert isinstance(found, IPv6Network)  # noqa: S101 (sixteen bytes)
    return found
