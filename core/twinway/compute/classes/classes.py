"""
Address classes: two addresses are in one class when exactly the same atoms in force match them.

The table is a prefix table. With `blocks` the networks and exceptions of the blocks in force, and
`addresses` those that an atom about pods or nodes matches, the number of its entries is

    2 + |blocks| + |addresses|        (an address that is itself a block counts once)

The two are the whole of each family, so that every address has a class. There are as many classes as
the atoms give different answers, at most one for each entry.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from twinway.compute.classes.answers import NOTHING, PodAnswers, node_answers
from twinway.compute.classes.atoms import Atom, AtomId, Members
from twinway.compute.classes.blocks import PrefixEntry, PrefixIndex, block_prefixes
from twinway.compute.classes.candidates import Candidate, Candidates
from twinway.compute.classes.matching import Profile
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
    """One class: the atoms that match it, and for each port atom among them the ports that it gives."""

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
    """Classes, indexed by the atoms that match them: a direction with few atoms looks at few classes."""

    def __init__(self, classes: Iterable[AddressClass] = ()) -> None:
        self.ids: set[ClassId] = set()
        self.having: dict[AtomId, dict[ClassId, AddressClass]] = {}
        for each in classes:
            self.add(each)

    def add(self, cls: AddressClass) -> None:
        """Add a class that is not here yet."""
        self.ids.add(cls.id)
        for atom in cls.atoms:
            self.having.setdefault(atom, {})[cls.id] = cls

    def remove(self, cls: AddressClass) -> None:
        """Remove a class that is here."""
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
        """Whether any class came or went."""
        return bool(self.come.ids or self.gone.ids)

    @cached_property
    def atoms(self) -> Set[AtomId]:
        """The atoms that match any of them: other atoms give one answer for all of them."""
        return self.come.having.keys() | self.gone.having.keys()


_Places = Sequence[tuple[PrefixEntry[Candidate], Sequence[int]]]
"""Places in the columns, grouped by the longest prefix of their addresses."""


class ClassTable:
    """
    The classes of all addresses, kept up to date; the cost of an update is that of what changed.

    `live` has the classes in use. `table` is another value after each update that changed it.
    """

    def __init__(self) -> None:
        self.table = PrefixClasses()
        self.live: dict[ClassId, AddressClass] = {}
        self._live_by_atom = ClassesByAtom()
        self._by_members: dict[Members, AddressClass] = {}
        self._uses: Counter[ClassId] = Counter()
        self._atoms: Mapping[AtomId, Atom] = {}
        self._candidates = Candidates()
        self._pods = PodAnswers()
        self._nodes: Mapping[ObjectRef, Node] = {}
        self._node_members: dict[IPAddress, Members] = {}
        self._prefixes: PrefixIndex[Candidate] = PrefixIndex()
        self._rows = Rows()
        self._places: dict[Profile, _Places] = {}

    def update(
        self, cluster: Cluster, attachments: Mapping[ObjectRef, Attachment], atoms: Mapping[AtomId, Atom]
    ) -> ClassChange:
        """Replace the atoms, pods, nodes and namespaces; returns the classes that came and went."""
        before = dict(self.live)
        come = {id_: atoms[id_] for id_ in atoms.keys() - self._atoms.keys()}
        gone = {id_: self._atoms[id_] for id_ in self._atoms.keys() - atoms.keys()}
        self._atoms = atoms
        kinds = {type(atom) for atom in (*come.values(), *gone.values())}
        touched = self._candidates.update(cluster.pods, attachments)
        for profile in self._candidates.changed():
            self._places.pop(profile, None)
        profiles = self._pods.update(come, gone, cluster.namespaces, self._candidates)
        if NodePeer in kinds or not unchanged(self._nodes, cluster.nodes):
            touched.update(map(self._candidates.candidate, self._update_nodes(cluster.nodes)))
        if Block in kinds or not self._prefixes.prefixes:
            touched |= self._update_blocks()
        for candidate in touched:
            self._update_candidate(candidate)
        for profile in profiles:
            self._update_profile(profile)
        if not before:
            for profile in self._candidates.profiles():
                self._places_of(profile)
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
        """All classes in use, as if each had just come; valid until the next update."""
        return ClassChange(self._live_by_atom, ClassesByAtom())

    def _update_nodes(self, nodes: Mapping[ObjectRef, Node]) -> set[IPAddress]:
        self._nodes = nodes
        old, self._node_members = self._node_members, node_answers(self._atoms, nodes.values())
        return {address for address, _ in old.items() ^ self._node_members.items()}

    def _update_blocks(self) -> set[Candidate]:
        # Returns the candidates that other blocks hold now; their rows may be prefixes of blocks, too.
        old, new = self._prefixes.prefixes, block_prefixes(self._atoms)
        moved = self._prefixes.update(new)
        for prefix in old.keys() | new.keys():
            if old.get(prefix) != new.get(prefix) and not self._is_taken(prefix):
                row = self._rows.row(prefix)
                self._put(row, self._class_of(new[prefix]) if prefix in new else NO_CLASS)
                if prefix not in new:
                    self._moved(self._rows.leave(row))
        for candidate in moved:
            self._moved(candidate)
        return moved

    def _update_candidate(self, candidate: Candidate) -> None:
        members = self._node_members.get(candidate.address, NOTHING)
        for profile in candidate.profiles():
            members |= self._pods.of(profile)
        if members or candidate.at >= 0:
            self._put(candidate, self._class_on(members, self._place(candidate)))
        if not members and not candidate.claims:
            self._leave(candidate)

    def _place(self, candidate: Candidate) -> PrefixEntry[Candidate]:
        # A candidate keeps its row while a pod has it: many leave the table and come back at once.
        candidate.place(self._rows)
        return self._prefixes.enter(candidate)

    def _leave(self, candidate: Candidate) -> None:
        self._candidates.leave(candidate)
        self._prefixes.leave(candidate)
        if candidate.at >= 0:
            self._moved(self._rows.leave(candidate))

    def _class_on(self, members: Members, entry: PrefixEntry[Candidate]) -> ClassId:
        # An address that matches no pod or node atom has an entry only where a block is that very address.
        if members or entry.prefix.prefixlen == entry.prefix.max_prefixlen:
            return self._class_of(members | entry.blocks if entry.blocks else members)
        return NO_CLASS

    def _update_profile(self, profile: Profile) -> None:
        # Addresses that only pods of this profile have get the same class, where the same prefix holds them.
        members = self._pods.of(profile)
        candidates = self._candidates.profiles().get(profile, ())
        grouped = self._places_of(profile)
        if grouped is None and members:
            for candidate in candidates:
                self._place(candidate)
            grouped = self._places_of(profile)
        if grouped is None or self._node_members:
            for candidate in candidates:
                self._update_candidate(candidate)
            return
        for entry, places in grouped:
            self._put_all(places, self._class_on(members, entry))

    def _places_of(self, profile: Profile) -> _Places | None:
        # The places of its addresses, if each has a row and no other pod claims one. Asking thousands of
        # addresses takes longer than writing their classes, so the answer is kept until one of them moves.
        known = self._places.get(profile)
        if known is None:
            candidates = self._candidates.profiles().get(profile, ())
            entries = {candidate.entry for candidate in candidates}
            if None in entries or not self._candidates.contested.isdisjoint(candidates):
                return None
            known = self._places[profile] = [
                (entry, array("I", [each.at for each in candidates if each.entry is entry]))
                for entry in entries
                if entry is not None
            ]
        return known

    def _moved(self, row: Row | None) -> None:
        # The row has another place in the columns, or another prefix.
        if isinstance(row, Candidate):
            for each in row.claims:
                self._places.pop(each.profile, None)

    def _is_taken(self, prefix: IPNetwork) -> bool:
        # An address has one row, even where a block is that very address.
        return prefix.prefixlen == prefix.max_prefixlen and self._candidates.has_row(prefix.network_address)

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
    # Usually all are equal.
    return {ids[0]: len(ids)} if ids.count(ids[0]) == len(ids) else Counter(ids)
