"""Who has which address: the pods of the cluster, those of one profile together."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import chain

from twinway.compute.classes.blocks import Ground
from twinway.compute.classes.matching import Profile, profile_of
from twinway.compute.classes.rows import Row, Rows
from twinway.model.cluster import Pod
from twinway.model.difference import difference
from twinway.model.net import IPAddress, IPNetwork, ObjectRef
from twinway.model.node import Attachment


@dataclass(frozen=True, slots=True)
class _Resident:
    pod: Pod
    profile: Profile
    addresses: tuple[IPAddress, ...]


class Home(Row):
    """
    One address: the pods that have it, and its row in the table of classes.

    An object of its own, because an address is slow to hash, and most questions are about thousands.
    It has a row since it first had a class as pods' or nodes' address, for as long as a pod has it.
    """

    __slots__ = ("address", "claims", "ground")

    def __init__(self, address: IPAddress) -> None:
        """Nobody has it. Its prefix is made with its row: most addresses of a cluster may never need one."""
        self.at = -1
        self.address = address
        self.claims: tuple[_Resident, ...] = ()
        self.ground: Ground[Home] | None = None
        """Where it stands, for as long as it has a row."""

    def place(self, rows: Rows) -> None:
        """Have a row, if there is none yet."""
        if self.at < 0:
            self.network = _single(self.address)
            rows.enter(self)

    def profiles(self) -> list[Profile]:
        """
        The profiles of the pods that have this address: one, as a rule, or none.

        While an address changes hands two pods may claim it: then one that is not terminating has it.
        """
        staying = [each for each in self.claims if not each.pod.terminating]
        return [each.profile for each in staying or self.claims]


class Population:
    """
    The pods that policies can mean, by address and by profile.

    Left out are pods on their node's own network, which no policy selects, and finished ones, whose
    address may be another pod's by now. An attached pod has the addresses of its attachment, which
    are known before the API server tells them.
    """

    def __init__(self) -> None:
        """Nobody is here."""
        self._pods: Mapping[ObjectRef, Pod] = {}
        self._attachments: Mapping[ObjectRef, Attachment] = {}
        self._residents: dict[ObjectRef, _Resident] = {}
        self._homes: dict[IPAddress, Home] = {}
        self.contested: set[Home] = set()
        """Those that several pods claim."""
        self._profiles: dict[Profile, dict[Home, int]] = {}
        # For each profile its addresses, and how many pods of the profile are there (one, as a rule).
        self._changed: set[Profile] = set()

    def update(self, pods: Mapping[ObjectRef, Pod], attachments: Mapping[ObjectRef, Attachment]) -> set[Home]:
        """Be these pods from now on; the addresses whose pods changed."""
        gone, come = difference(self._pods, pods)
        moved = {each.pod for each in chain.from_iterable(difference(self._attachments, attachments))}
        self._pods, self._attachments = pods, dict(attachments)
        self._changed = set()
        touched: set[Home] = set()
        for ref in {*(pod.ref for pod in gone), *(pod.ref for pod in come), *moved}:
            touched |= self._replace(self._residents.get(ref), self._resident(ref))
        return touched

    def profiles(self) -> Mapping[Profile, Mapping[Home, int]]:
        """Every profile that some pod has, and the addresses of those pods."""
        return self._profiles

    def changed(self) -> Set[Profile]:
        """Profiles with other addresses than before the last update, or that share one with others than before."""
        return self._changed

    def ended(self) -> list[Profile]:
        """Profiles that pods had before the last update, and none has now."""
        return [profile for profile in self._changed if profile not in self._profiles]

    def home(self, address: IPAddress) -> Home:
        """What is known of an address; kept until `leave`."""
        found = self._homes.get(address)
        if found is None:
            found = self._homes[address] = Home(address)
        return found

    def has_row(self, address: IPAddress) -> bool:
        """Whether an address has a row of its own in the table of classes."""
        found = self._homes.get(address)
        return found is not None and found.at >= 0

    def leave(self, home: Home) -> None:
        """Keep nothing of an address that no pod has."""
        if not home.claims:
            del self._homes[home.address]

    def _resident(self, ref: ObjectRef) -> _Resident | None:
        pod = self._pods.get(ref)
        if pod is None or pod.host_network or pod.finished:
            return None
        attachment = self._attachments.get(ref)
        addresses = attachment.addresses if attachment else pod.addresses
        return _Resident(pod, profile_of(pod), tuple(dict.fromkeys(addresses)))

    def _replace(self, old: _Resident | None, new: _Resident | None) -> set[Home]:
        touched: set[Home] = set()
        if old is not None:
            del self._residents[old.pod.ref]
            touched.update(self._leave(old, address) for address in old.addresses)
        if new is not None:
            self._residents[new.pod.ref] = new
            touched.update(self._enter(new, address) for address in new.addresses)
        return touched

    def _enter(self, new: _Resident, address: IPAddress) -> Home:
        home = self.home(address)
        home.claims = (*home.claims, new)
        self._changed.update([each.profile for each in home.claims])
        if len(home.claims) > 1:
            self.contested.add(home)
        there = self._profiles.setdefault(new.profile, {})
        there[home] = there.get(home, 0) + 1
        return home

    def _leave(self, old: _Resident, address: IPAddress) -> Home:
        home = self._homes[address]
        self._changed.update([each.profile for each in home.claims])
        home.claims = tuple(each for each in home.claims if each is not old)
        if len(home.claims) < 2:
            self.contested.discard(home)
        there = self._profiles[old.profile]
        there[home] -= 1
        if not there[home]:
            del there[home]
        if not there:
            del self._profiles[old.profile]
        return home


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
