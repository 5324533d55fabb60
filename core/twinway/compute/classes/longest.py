"""Longest match: of all prefixes that hold an address, the longest one's value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from twinway.model.net import IPAddress, IPNetwork

V = TypeVar("V")


class LongestMatch(Generic[V]):
    """A prefix table to be asked often; built once, from prefixes of either family."""

    def __init__(self, prefixes: Mapping[IPNetwork, V]) -> None:
        """Index `prefixes`: for each family from the longest to the shortest, a table for each length."""
        lengths: dict[int, dict[int, dict[int, V]]] = {4: {}, 6: {}}
        for prefix, value in prefixes.items():
            table = lengths[prefix.version].setdefault(prefix.prefixlen, {})
            table[int(prefix.network_address) >> (prefix.max_prefixlen - prefix.prefixlen)] = value
        self._lengths = {family: sorted(tables.items(), reverse=True) for family, tables in lengths.items()}

    def find(self, address: IPAddress, *, shorter_than: int = 129) -> V | None:
        """The value of the longest prefix (of fewer bits than `shorter_than`) that holds `address`, or None."""
        number, width = int(address), address.max_prefixlen
        for bits, table in self._lengths[address.version]:
            if bits < shorter_than:
                found = table.get(number >> (width - bits))
                if found is not None:
                    return found
        return None
