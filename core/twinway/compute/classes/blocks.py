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


class Standing(Protocol):
    """Somebody at an address; `ground` is kept by `Grounds`."""

    address: IPAddress
    ground: Ground[Any] | None


Who = TypeVar("Who", bound=Standing)

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


class Ground(Generic[Who]):
    """The ground below a prefix: the blocks that hold it, and who stands there."""

    __slots__ = ("blocks", "prefix", "standing")

    def __init__(self, prefix: IPNetwork, blocks: Members) -> None:
        """Nobody stands there."""
        self.prefix = prefix
        self.blocks = blocks
        self.standing: set[Who] = set()


class Grounds(Generic[Who]):
    """
    The ground that addresses stand on: the prefix that holds each, and its blocks.

    It knows who stands where, so that a block that comes or goes concerns only those whom it holds.
    """

    def __init__(self) -> None:
        """To be updated before anybody enters."""
        self.prefixes: dict[IPNetwork, Members] = {}
        self._grounds: dict[IPNetwork, Ground[Who]] = {}
        self._longest: LongestMatch[Ground[Who]] = LongestMatch({})

    def update(self, prefixes: dict[IPNetwork, Members]) -> set[Who]:
        """Have these prefixes from now on; who stands on other ground, or in other blocks, than before."""
        moved: set[Who] = set()
        for prefix in prefixes.keys() - self._grounds.keys():
            moved.update(self._caught(prefix))
        for prefix in [each for each, blocks in self.prefixes.items() if blocks != prefixes.get(each)]:
            moved |= self._grounds[prefix].standing
            self._grounds[prefix].blocks = prefixes.get(prefix, _NONE)
        for standing in moved:
            self.leave(standing)
        self._grounds = {
            prefix: self._grounds.get(prefix) or Ground(prefix, blocks) for prefix, blocks in prefixes.items()
        }
        self.prefixes = prefixes
        self._longest = LongestMatch(self._grounds)
        for standing in moved:
            self.enter(standing)
        return moved

    def enter(self, standing: Who) -> Ground[Who]:
        """Have somebody stand here, too, if they do not yet; on which ground."""
        ground = standing.ground
        if ground is None:
            ground = self._longest.find(standing.address) or self._grounds[_WHOLE[standing.address.version == 6]]
            standing.ground = ground
            ground.standing.add(standing)
        return ground

    def leave(self, standing: Who) -> None:
        """Have somebody stand here no more."""
        if standing.ground is not None:
            standing.ground.standing.discard(standing)
            standing.ground = None

    def _caught(self, prefix: IPNetwork) -> Iterator[Who]:
        # A new prefix takes its addresses from the next shorter one around it.
        outer = self._longest.find(prefix.network_address, shorter_than=prefix.prefixlen)
        for standing in outer.standing if outer is not None else ():
            if standing.address in prefix:
                yield standing


def _order(prefix: IPNetwork) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen


def _inside(prefix: IPNetwork, outer: IPNetwork) -> bool:
    if prefix.version != outer.version:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(prefix.network_address) >> shift == int(outer.network_address) >> shift
