"""Address blocks as a prefix table: which of them hold an address, `except` taken into account."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from twinway.compute.atoms import Atom, AtomId, Member, Members
from twinway.compute.longest import LongestMatch
from twinway.model.net import IPAddress, IPNetwork
from twinway.model.policy import Block

_WHOLE: tuple[IPNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_NONE: Members = frozenset()


def block_prefixes(atoms: Mapping[AtomId, Atom]) -> dict[IPNetwork, Members]:
    """
    Every network and every exception of the blocks among `atoms`, and the whole of both families.

    The longest of these prefixes that holds an address has the blocks that hold it: between two
    borders nothing changes.
    """
    opens: dict[IPNetwork, list[Member]] = defaultdict(list)
    closes: dict[IPNetwork, list[Member]] = defaultdict(list)
    for id_, atom in atoms.items():
        if isinstance(atom, Block):
            opens[atom.network].append((id_, 0, 0))
            for excepted in atom.excepted:
                closes[excepted].append((id_, 0, 0))
    prefixes: dict[IPNetwork, Members] = {}
    # Outer prefixes come before inner ones: `enclosing` is the way from outside to the current one.
    enclosing: list[IPNetwork] = []
    for prefix in sorted({*_WHOLE, *opens, *closes}, key=_order):
        while enclosing and not _inside(prefix, enclosing[-1]):
            enclosing.pop()
        outer = prefixes[enclosing[-1]] if enclosing else _NONE
        prefixes[prefix] = (outer | frozenset(opens.get(prefix, ()))) - frozenset(closes.get(prefix, ()))
        enclosing.append(prefix)
    return prefixes


class Grounds:
    """
    The ground that addresses stand on: the prefix that holds each, and its blocks.

    It knows who stands where, so that a block that comes or goes concerns only those whom it holds.
    """

    def __init__(self) -> None:
        """To be updated before anybody enters."""
        self.prefixes: dict[IPNetwork, Members] = {}
        self._longest: LongestMatch[IPNetwork] = LongestMatch({})
        self._standing: dict[IPNetwork, set[IPAddress]] = defaultdict(set)
        self._ground: dict[IPAddress, IPNetwork] = {}

    def update(self, prefixes: dict[IPNetwork, Members]) -> set[IPAddress]:
        """Have these prefixes from now on; the addresses that stand on other ground than before."""
        moved: set[IPAddress] = set()
        for prefix in [each for each in self.prefixes if self.prefixes[each] != prefixes.get(each)]:
            moved |= self._standing.get(prefix, set())
        for prefix in prefixes.keys() - self.prefixes.keys():
            moved.update(self._caught(prefix))
        for address in moved:
            self.leave(address)
        self.prefixes = prefixes
        self._longest = LongestMatch({prefix: prefix for prefix in prefixes})
        for address in moved:
            self.enter(address)
        return moved

    def enter(self, address: IPAddress) -> Members:
        """Have this address stand here, too, if it does not yet; the blocks that hold it."""
        prefix = self._ground.get(address)
        if prefix is None:
            prefix = self._longest.find(address) or _WHOLE[address.version == 6]
            self._ground[address] = prefix
            self._standing[prefix].add(address)
        return self.prefixes[prefix]

    def leave(self, address: IPAddress) -> None:
        """Have this address stand here no more."""
        prefix = self._ground.pop(address)
        self._standing[prefix].discard(address)
        if not self._standing[prefix]:
            del self._standing[prefix]

    def _caught(self, prefix: IPNetwork) -> Iterator[IPAddress]:
        # A new prefix takes its addresses from the next shorter one around it.
        outer = self._longest.find(prefix.network_address, shorter_than=prefix.prefixlen)
        for address in self._standing.get(outer, ()) if outer is not None else ():
            if address in prefix:
                yield address


def _order(prefix: IPNetwork) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _inside(prefix: IPNetwork, outer: IPNetwork) -> bool:
    if prefix.version != outer.version:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(prefix.network_address) >> shift == int(outer.network_address) >> shift
