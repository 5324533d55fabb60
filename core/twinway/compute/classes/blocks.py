"""Address blocks as a prefix table: which of them hold an address, `except` taken into account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any, Generic, Protocol, TypeVar

from twinway.compute.classes.atoms import Atom, AtomId, Member, Members
from twinway.compute.classes.longest import LongestMatch
from twinway.model.net import IPAddress, IPNetwork
from twinway.model.policy import Block


class Located(Protocol):
    """Something with an address; `PrefixIndex` keeps its `entry`."""

    address: IPAddress
    entry: PrefixEntry[Any] | None


Item = TypeVar("Item", bound=Located)

_WHOLE: tuple[IPNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_NONE: Members = frozenset()


def block_prefixes(atoms: Mapping[AtomId, Atom]) -> dict[IPNetwork, Members]:
    """
    Every network and every exception of the blocks among `atoms`, and the whole of both families.

    The longest of these prefixes that holds an address has the blocks that hold it: within a prefix
    and outside the longer ones, no block begins or ends.
    """
    opens: dict[IPNetwork, list[Member]] = defaultdict(list)
    closes: dict[IPNetwork, list[Member]] = defaultdict(list)
    for id_, atom in atoms.items():
        if isinstance(atom, Block):
            opens[atom.network].append((id_, 0, 0))
            for excepted in atom.excepted:
                closes[excepted].append((id_, 0, 0))
    prefixes: dict[IPNetwork, Members] = {}
    # Outer prefixes come before inner ones; `enclosing` holds those around the current one.
    enclosing: list[IPNetwork] = []
    for prefix in sorted({*_WHOLE, *opens, *closes}, key=_order):
        while enclosing and not _inside(prefix, enclosing[-1]):
            enclosing.pop()
        outer = prefixes[enclosing[-1]] if enclosing else _NONE
        prefixes[prefix] = (outer | frozenset(opens.get(prefix, ()))) - frozenset(closes.get(prefix, ()))
        enclosing.append(prefix)
    return prefixes


class PrefixEntry(Generic[Item]):
    """One prefix: the blocks that hold it, and the items whose longest prefix it is."""

    __slots__ = ("blocks", "items", "prefix")

    def __init__(self, prefix: IPNetwork, blocks: Members) -> None:
        self.prefix = prefix
        self.blocks = blocks
        self.items: set[Item] = set()


class PrefixIndex(Generic[Item]):
    """
    The longest prefix of each item's address, with its blocks.

    It keeps the items of each prefix, so that a block that comes or goes touches only the items that it holds.
    """

    def __init__(self) -> None:
        """Call `update` before `enter`."""
        self.prefixes: dict[IPNetwork, Members] = {}
        self._entries: dict[IPNetwork, PrefixEntry[Item]] = {}
        self._longest: LongestMatch[PrefixEntry[Item]] = LongestMatch({})

    def update(self, prefixes: dict[IPNetwork, Members]) -> set[Item]:
        """Replace the prefixes; returns the items that have another prefix, or other blocks, than before."""
        moved: set[Item] = set()
        for prefix in prefixes.keys() - self._entries.keys():
            moved.update(self._caught(prefix))
        for prefix in [each for each, blocks in self.prefixes.items() if blocks != prefixes.get(each)]:
            moved |= self._entries[prefix].items
            self._entries[prefix].blocks = prefixes.get(prefix, _NONE)
        for item in moved:
            self.leave(item)
        self._entries = {
            prefix: self._entries.get(prefix) or PrefixEntry(prefix, blocks) for prefix, blocks in prefixes.items()
        }
        self.prefixes = prefixes
        self._longest = LongestMatch(self._entries)
        for item in moved:
            self.enter(item)
        return moved

    def enter(self, item: Item) -> PrefixEntry[Item]:
        """Add an item, unless it is here already; returns the entry of its longest prefix."""
        entry = item.entry
        if entry is None:
            entry = self._longest.find(item.address) or self._entries[_WHOLE[item.address.version == 6]]
            item.entry = entry
            entry.items.add(item)
        return entry

    def leave(self, item: Item) -> None:
        """Remove an item; one that is not here stays out."""
        if item.entry is not None:
            item.entry.items.discard(item)
            item.entry = None

    def _caught(self, prefix: IPNetwork) -> Iterator[Item]:
        # A new prefix takes its items from the next shorter prefix around it.
        outer = self._longest.find(prefix.network_address, shorter_than=prefix.prefixlen)
        for item in outer.items if outer is not None else ():
            if item.address in prefix:
                yield item


def _order(prefix: IPNetwork) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _inside(prefix: IPNetwork, outer: IPNetwork) -> bool:
    if prefix.version != outer.version:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(prefix.network_address) >> shift == int(outer.network_address) >> shift
