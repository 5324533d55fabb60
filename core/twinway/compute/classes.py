"""
Address classes: two addresses are in one class when the same atoms in force match them.

The table is a prefix table. With `blocks` the networks and exceptions of the blocks in force, and
`addresses` those that an atom about pods or nodes matches, the number of its entries is

    2 + |blocks| + |addresses|        (an address that is itself a block counts once)

The two are the whole of each family, so that every address has a class. There are as many classes
as there are different answers of the atoms, at most one for each entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from types import MappingProxyType
from typing import cast

from twinway.compute.answers import NOTHING, PodAnswers, node_answers
from twinway.compute.atoms import Atom, AtomId, Members
from twinway.compute.blocks import Grounds, block_prefixes
from twinway.compute.collisions import enter
from twinway.compute.ids import content_id
from twinway.compute.matching import Profile
from twinway.compute.population import Home, Population
from twinway.model.cluster import Cluster, Node
from twinway.model.difference import unchanged
from twinway.model.net import IPAddress, IPNetwork, ObjectRef
from twinway.model.node import Attachment, ClassId
from twinway.model.policy import Block, NodePeer


@dataclass(frozen=True, slots=True)
class AddressClass:
    """One class: the atoms that match it, and the ports that those of them tell which tell one."""

    id: ClassId
    members: Members
    atoms: frozenset[AtomId]
    ports: Mapping[AtomId, tuple[tuple[int, int], ...]]
    """Protocol number and port number."""


def address_class(members: Members) -> AddressClass:
    """The class of addresses that these atoms match and no others."""
    ordered = sorted(members)
    content = b"".join(
        atom.to_bytes(8, "big") + protocol.to_bytes(2, "big") + port.to_bytes(2, "big")
        for atom, protocol, port in ordered
    )
    ports: dict[AtomId, tuple[tuple[int, int], ...]] = {}
    for atom, protocol, port in ordered:
        if port:
            ports[atom] = (*ports.get(atom, ()), (protocol, port))
    atoms = frozenset(each[0] for each in ordered)
    return AddressClass(ClassId(content_id(b"class", content)), members, atoms, ports)


class ClassChange:
    """Classes that came into use, and those that no address has any more."""

    def __init__(self, come: Iterable[AddressClass] = (), gone: Iterable[AddressClass] = ()) -> None:
        """Of both, each once."""
        self.come = tuple(come)
        self.gone = frozenset(each.id for each in gone)

    @cached_property
    def having(self) -> Mapping[AtomId, Sequence[AddressClass]]:
        """The classes that came, by atom: who asks few atoms need not look at all of them."""
        found: dict[AtomId, list[AddressClass]] = {}
        for each in self.come:
            for atom in each.atoms:
                found.setdefault(atom, []).append(each)
        return found


class ClassTable:
    """
    The classes of all addresses, kept up to date: an update costs what changed.

    `live` has the classes in use. `table` is another mapping after each update that changed it.
    """

    def __init__(self) -> None:
        """No atom is in force."""
        self.table: Mapping[IPNetwork, ClassId] = MappingProxyType({})
        self.live: dict[ClassId, AddressClass] = {}
        self._by_members: dict[Members, AddressClass] = {}
        self._uses: Counter[ClassId] = Counter()
        self._atoms: Mapping[AtomId, Atom] = {}
        self._population = Population()
        self._pods = PodAnswers()
        self._nodes: Mapping[ObjectRef, Node] = {}
        self._node_members: dict[IPAddress, Members] = {}
        self._grounds = Grounds()
        self._entries: dict[IPNetwork, ClassId] = {}

    def update(
        self, cluster: Cluster, attachments: Mapping[ObjectRef, Attachment], atoms: Mapping[AtomId, Atom]
    ) -> ClassChange:
        """Be the table for these atoms, pods, nodes and namespaces from now on."""
        before = dict(self.live)
        come = {id_: atoms[id_] for id_ in atoms.keys() - self._atoms.keys()}
        gone = {id_: self._atoms[id_] for id_ in self._atoms.keys() - atoms.keys()}
        self._atoms = atoms
        kinds = {type(atom) for atom in (*come.values(), *gone.values())}
        touched = self._population.update(cluster.pods, attachments)
        profiles = self._pods.update(come, gone, cluster.namespaces, self._population)
        home = self._population.home
        if NodePeer in kinds or not unchanged(self._nodes, cluster.nodes):
            touched.update(map(home, self._update_nodes(cluster.nodes)))
        changed = [False]
        if Block in kinds or not self._entries:
            moved, borders = self._update_blocks()
            changed.append(borders)
            touched.update(map(home, moved))
        changed += [self._update_home(each) for each in touched]
        changed += [self._update_profile(profile) for profile in profiles]
        if any(changed):
            self.table = MappingProxyType(dict(self._entries))
        return ClassChange(
            come=tuple(self.live[id_] for id_ in self.live.keys() - before.keys()),
            gone=tuple(before[id_] for id_ in before.keys() - self.live.keys()),
        )

    def _update_nodes(self, nodes: Mapping[ObjectRef, Node]) -> set[IPAddress]:
        self._nodes = nodes
        old, self._node_members = self._node_members, node_answers(self._atoms, nodes.values())
        return {address for address, _ in old.items() ^ self._node_members.items()}

    def _update_blocks(self) -> tuple[set[IPAddress], bool]:
        # The addresses that stand on other ground now, and whether any entry changed.
        old, new = self._grounds.prefixes, block_prefixes(self._atoms)
        moved = self._grounds.update(new)
        borders = [prefix for prefix in old.keys() | new.keys() if old.get(prefix) != new.get(prefix)]
        changed = [self._enter(each, new.get(each)) for each in borders if not self._is_taken(each)]
        return moved, any(changed)

    def _update_home(self, home: Home) -> bool:
        # Whether its entry changed. An address that no pod or node gives members has none of its own.
        members = self._node_members.get(home.address, NOTHING)
        for profile in home.profiles():
            members |= self._pods.of(profile)
        if members:
            network = self._stand(home)
            old, home.told = home.told, self._put(network, members | home.blocks)
            return home.told != old
        # Its place is kept for as long as a pod has it: many leave the table and come back together.
        kept, told, home.told = home.network, home.told, None
        if not home.claims:
            self._population.leave(home)
            if kept is not None:
                home.network = None
                self._grounds.leave(home.address)
        if kept is None or told is None:
            return False
        return self._enter(kept, self._grounds.prefixes.get(kept))

    def _stand(self, home: Home) -> IPNetwork:
        # The prefix that its entry has; from now on it is known what blocks hold it.
        home.blocks = self._grounds.enter(home.address)
        if home.network is None:
            home.network = _single(home.address)
        return home.network

    def _update_profile(self, profile: Profile) -> bool:
        # Whether any entry changed: each address that only a pod of this profile has is told as the others.
        members = self._pods.of(profile)
        classes: dict[Members, ClassId] = {}
        changed = False
        for home in self._population.profiles().get(profile, ()):
            if not members or len(home.claims) > 1 or self._node_members:
                changed |= self._update_home(home)
                continue
            # In place of an address that had no entry a block may have one.
            old = self._entries.get(self._stand(home)) if home.told is None else home.told
            new = classes.get(home.blocks)
            if new is None:
                new = classes[home.blocks] = self._class_of(members | home.blocks)
            home.told = new
            if new != old:
                self._uses[new] += 1
                if old is not None:
                    self._release(old)
                self._entries[cast(IPNetwork, home.network)] = new
                changed = True
        return changed

    def _is_taken(self, prefix: IPNetwork) -> bool:
        # The entry of a single address stands there even where it is the border of a block.
        return prefix.prefixlen == prefix.max_prefixlen and self._population.has_entry(prefix.network_address)

    def _put(self, network: IPNetwork, members: Members) -> ClassId:
        # The class that an entry has now.
        old = self._entries.get(network)
        new = self._class_of(members)
        self._uses[new] += 1
        if old is not None:
            self._release(old)
        self._entries[network] = new
        return new

    def _enter(self, network: IPNetwork, members: Members | None) -> bool:
        # Whether the entry changed; None takes it out.
        old = self._entries.get(network)
        if members is not None:
            return self._put(network, members) != old
        if old is not None:
            self._release(old)
            del self._entries[network]
        return old is not None

    def _class_of(self, members: Members) -> ClassId:
        known = self._by_members.get(members)
        if known is None:
            known = self._by_members[members] = address_class(members)
            enter(self.live, known.id, known, "address classes")
        return known.id

    def _release(self, id_: ClassId) -> None:
        self._uses[id_] -= 1
        if not self._uses[id_]:
            del self._uses[id_], self._by_members[self.live.pop(id_).members]


class _Single4(IPv4Network):
    # Hashes as its like, but once: it stands in a large table, and the hash of ipaddress is slow.
    def __init__(self, address: tuple[int, int]) -> None:
        super().__init__(address)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class _Single6(IPv6Network):
    def __init__(self, address: tuple[int, int]) -> None:
        super().__init__(address)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


def _single(address: IPAddress) -> IPNetwork:
    # From the number: from the address itself, ipaddress would write it out and parse it again.
    if isinstance(address, IPv4Address):
        return _Single4((int(address), 32))
    return _Single6((int(address), 128))
