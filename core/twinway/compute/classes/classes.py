"""
Address classes: two addresses are in one class when the same atoms in force match them.

The table is a prefix table. With `blocks` the networks and exceptions of the blocks in force, and
`addresses` those that an atom about pods or nodes matches, the number of its entries is

    2 + |blocks| + |addresses|        (an address that is itself a block counts once)

The two are the whole of each family, so that every address has a class. There are as many classes
as there are different answers of the atoms, at most one for each entry.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from twinway.compute.classes.answers import NOTHING, PodAnswers, node_answers
from twinway.compute.classes.atoms import Atom, AtomId, Members
from twinway.compute.classes.blocks import Ground, Grounds, block_prefixes
from twinway.compute.classes.matching import Profile
from twinway.compute.classes.population import Home, Population
from twinway.compute.classes.rows import Row, Rows
from twinway.compute.collisions import enter
from twinway.compute.ids import content_id
from twinway.model.cluster import Cluster, Node
from twinway.model.difference import unchanged
from twinway.model.net import IPAddress, IPNetwork, ObjectRef
from twinway.model.node import NO_CLASS, Attachment, ClassId
from twinway.model.policy import Block, NodePeer
from twinway.model.prefixes import PrefixClasses


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


class ClassesByAtom:
    """Classes, to be found by the atoms that match them: who asks few atoms need not look at all."""

    def __init__(self, classes: Iterable[AddressClass] = ()) -> None:
        """These, each once."""
        self.ids: set[ClassId] = set()
        self.having: dict[AtomId, dict[ClassId, AddressClass]] = {}
        for each in classes:
            self.add(each)

    def add(self, cls: AddressClass) -> None:
        """One more."""
        self.ids.add(cls.id)
        for atom in cls.atoms:
            self.having.setdefault(atom, {})[cls.id] = cls

    def remove(self, cls: AddressClass) -> None:
        """One less."""
        self.ids.remove(cls.id)
        for atom in cls.atoms:
            del self.having[atom][cls.id]
            if not self.having[atom]:
                del self.having[atom]


@dataclass(frozen=True)
class ClassChange:
    """Classes that came into use, and those that no address has any more."""

    come: ClassesByAtom
    gone: ClassesByAtom

    @property
    def is_any(self) -> bool:
        """Whether there are any."""
        return bool(self.come.ids or self.gone.ids)

    @cached_property
    def atoms(self) -> Set[AtomId]:
        """Those that match any of them: who asks none of these is told the same of all."""
        return self.come.having.keys() | self.gone.having.keys()


_Together = Sequence[tuple[Ground[Home], Sequence[int]]]
"""Places in the columns, those of addresses on one ground together."""


class ClassTable:
    """
    The classes of all addresses, kept up to date: an update costs what changed.

    `live` has the classes in use. `table` is another value after each update that changed it.
    """

    def __init__(self) -> None:
        """No atom is in force."""
        self.table = PrefixClasses()
        self.live: dict[ClassId, AddressClass] = {}
        self._live_by_atom = ClassesByAtom()
        self._by_members: dict[Members, AddressClass] = {}
        self._uses: Counter[ClassId] = Counter()
        self._atoms: Mapping[AtomId, Atom] = {}
        self._population = Population()
        self._pods = PodAnswers()
        self._nodes: Mapping[ObjectRef, Node] = {}
        self._node_members: dict[IPAddress, Members] = {}
        self._grounds: Grounds[Home] = Grounds()
        self._rows = Rows()
        self._places: dict[Profile, _Together] = {}

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
        for profile in self._population.changed():
            self._places.pop(profile, None)
        profiles = self._pods.update(come, gone, cluster.namespaces, self._population)
        if NodePeer in kinds or not unchanged(self._nodes, cluster.nodes):
            touched.update(map(self._population.home, self._update_nodes(cluster.nodes)))
        if Block in kinds or not self._grounds.prefixes:
            touched |= self._update_blocks()
        for home in touched:
            self._update_home(home)
        for profile in profiles:
            self._update_profile(profile)
        if not before:
            for profile in self._population.profiles():
                self._together(profile)
        self.table = self._rows.table()
        change = ClassChange(
            come=ClassesByAtom(self.live[id_] for id_ in self.live.keys() - before.keys()),
            gone=ClassesByAtom(before[id_] for id_ in before.keys() - self.live.keys()),
        )
        for id_ in change.come.ids:
            self._live_by_atom.add(self.live[id_])
        for id_ in change.gone.ids:
            self._live_by_atom.remove(before[id_])
        return change

    def everything(self) -> ClassChange:
        """All classes in use, as if they had come just now; it holds until the next update."""
        return ClassChange(self._live_by_atom, ClassesByAtom())

    def _update_nodes(self, nodes: Mapping[ObjectRef, Node]) -> set[IPAddress]:
        self._nodes = nodes
        old, self._node_members = self._node_members, node_answers(self._atoms, nodes.values())
        return {address for address, _ in old.items() ^ self._node_members.items()}

    def _update_blocks(self) -> set[Home]:
        # The homes that stand in other blocks now: they are told of their rows' borders, too.
        old, new = self._grounds.prefixes, block_prefixes(self._atoms)
        moved = self._grounds.update(new)
        for prefix in old.keys() | new.keys():
            if old.get(prefix) != new.get(prefix) and not self._is_taken(prefix):
                row = self._rows.row(prefix)
                self._put(row, self._class_of(new[prefix]) if prefix in new else NO_CLASS)
                if prefix not in new:
                    self._moved(self._rows.leave(row))
        for home in moved:
            self._moved(home)
        return moved

    def _update_home(self, home: Home) -> None:
        members = self._node_members.get(home.address, NOTHING)
        for profile in home.profiles():
            members |= self._pods.of(profile)
        if members or home.at >= 0:
            self._put(home, self._said(members, self._place(home)))
        if not members and not home.claims:
            self._leave(home)

    def _place(self, home: Home) -> Ground[Home]:
        # Its row is kept for as long as a pod has it: many leave the table and come back together.
        home.place(self._rows)
        return self._grounds.enter(home)

    def _leave(self, home: Home) -> None:
        self._population.leave(home)
        self._grounds.leave(home)
        if home.at >= 0:
            self._moved(self._rows.leave(home))

    def _said(self, members: Members, ground: Ground[Home]) -> ClassId:
        # An address that no pod or node gives members has an entry where it is itself a border of blocks.
        if members or ground.prefix.prefixlen == ground.prefix.max_prefixlen:
            return self._class_of(members | ground.blocks if ground.blocks else members)
        return NO_CLASS

    def _update_profile(self, profile: Profile) -> None:
        # Each address that only a pod of this profile has is told what the others on its ground are.
        members = self._pods.of(profile)
        homes = self._population.profiles().get(profile, ())
        together = self._together(profile)
        if together is None and members:
            for home in homes:
                self._place(home)
            together = self._together(profile)
        if together is None or self._node_members:
            for home in homes:
                self._update_home(home)
            return
        for ground, places in together:
            self._put_all(places, self._said(members, ground))

    def _together(self, profile: Profile) -> _Together | None:
        # Where its addresses stand, if each has a row and no other pod. To ask thousands of them takes longer
        # than to write down their classes: it is kept until one of them moves.
        known = self._places.get(profile)
        if known is None:
            homes = self._population.profiles().get(profile, ())
            grounds = {home.ground for home in homes}
            if None in grounds or not self._population.contested.isdisjoint(homes):
                return None
            known = self._places[profile] = [
                (ground, array("I", [home.at for home in homes if home.ground is ground]))
                for ground in grounds
                if ground is not None
            ]
        return known

    def _moved(self, row: Row | None) -> None:
        # Somewhere else in the columns, or on other ground.
        if isinstance(row, Home):
            for each in row.claims:
                self._places.pop(each.profile, None)

    def _is_taken(self, prefix: IPNetwork) -> bool:
        # The entry of a single address stands there even where it is the border of a block.
        return prefix.prefixlen == prefix.max_prefixlen and self._population.has_row(prefix.network_address)

    def _put(self, row: Row, new: ClassId) -> None:
        if self._rows.ids[row.at] != new:
            self._put_all([row.at], new)

    def _put_all(self, places: Sequence[int], new: ClassId) -> None:
        ids = self._rows.ids
        left = _counted([ids[at] for at in places])
        for at in places:
            ids[at] = new
        self._rows.touched += places
        self._rows.changed = True
        self._uses[new] += len(places)
        for old, count in left.items():
            self._uses[old] -= count
            if not self._uses[old] and old != NO_CLASS:
                del self._uses[old], self._by_members[self.live.pop(old).members]

    def _class_of(self, members: Members) -> ClassId:
        known = self._by_members.get(members)
        if known is None:
            known = self._by_members[members] = address_class(members)
            enter(self.live, known.id, known, "address classes")
        return known.id


def _counted(ids: Sequence[ClassId]) -> Mapping[ClassId, int]:
    # As a rule it is one, however many times.
    return {ids[0]: len(ids)} if ids.count(ids[0]) == len(ids) else Counter(ids)
