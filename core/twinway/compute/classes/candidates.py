"""Candidates: the addresses that rules may match, with the pods that have them, grouped by profile."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from itertools import chain

from twinway.compute.classes.blocks import PrefixEntry
from twinway.compute.classes.matching import Profile, profile_of
from twinway.compute.classes.rows import Row, Rows
from twinway.model.cluster import Pod
from twinway.model.difference import difference
from twinway.model.net import IPAddress, IPNetwork, ObjectRef
from twinway.model.node import Attachment


@dataclass(frozen=True, slots=True)
class _Owner:
    pod: Pod
    profile: Profile
    addresses: tuple[IPAddress, ...]


class Candidate(Row):
    """
    One address: the pods that claim it, and its row in the table of classes.

    It is an object, because an address is slow to hash, and look-ups are for thousands.
    It gets a row when a pod or node atom first matches it, and keeps it while a pod has the address.
    """

    __slots__ = ("address", "claims", "entry")

    def __init__(self, address: IPAddress) -> None:
        """No pod has it. Its prefix is made with its row: most addresses of a cluster may never need one."""
        self.at = -1
        self.address = address
        self.claims: tuple[_Owner, ...] = ()
        self.entry: PrefixEntry[Candidate] | None = None
        """The longest prefix that holds it, for as long as it has a row."""

    def place(self, rows: Rows) -> None:
        """Make a row, if there is none yet."""
        if self.at < 0:
            self.network = _single(self.address)
            rows.enter(self)

    def profiles(self) -> list[Profile]:
        """
        The profiles of the pods that have this address: usually one, or none.

        While an address changes hands two pods may claim it; then the one that is not terminating has it.
        """
        staying = [each for each in self.claims if not each.pod.terminating]
        return [each.profile for each in staying or self.claims]


class Candidates:
    """
    The pods that rules may match, by address and by profile.

    Pods on their node's own network are left out, because no policy selects them, and so are finished pods,
    whose address may belong to another pod already. An attached pod has the addresses of its attachment,
    which the agent knows before the API server reports them.
    """

    def __init__(self) -> None:
        self._pods: Mapping[ObjectRef, Pod] = {}
        self._attachments: Mapping[ObjectRef, Attachment] = {}
        self._owners: dict[ObjectRef, _Owner] = {}
        self._candidates: dict[IPAddress, Candidate] = {}
        self.contested: set[Candidate] = set()
        """Candidates that several pods claim."""
        self._profiles: dict[Profile, dict[Candidate, int]] = {}
        # For each profile its addresses, and how many pods of the profile have each (usually one).
        self._changed: set[Profile] = set()

    def update(self, pods: Mapping[ObjectRef, Pod], attachments: Mapping[ObjectRef, Attachment]) -> set[Candidate]:
        """Replace the pods; returns the candidates whose pods changed."""
        gone, come = difference(self._pods, pods)
        moved = {each.pod for each in chain.from_iterable(difference(self._attachments, attachments))}
        self._pods, self._attachments = pods, dict(attachments)
        self._changed = set()
        touched: set[Candidate] = set()
        for ref in {*(pod.ref for pod in gone), *(pod.ref for pod in come), *moved}:
            touched |= self._replace(self._owners.get(ref), self._owner(ref))
        return touched

    def profiles(self) -> Mapping[Profile, Mapping[Candidate, int]]:
        """Every profile that some pod has, with the candidates of those pods."""
        return self._profiles

    def changed(self) -> Set[Profile]:
        """Profiles whose addresses, or whose pods at these addresses, changed in the last update."""
        return self._changed

    def ended(self) -> list[Profile]:
        """Profiles that no pod has since the last update."""
        return [profile for profile in self._changed if profile not in self._profiles]

    def candidate(self, address: IPAddress) -> Candidate:
        """The candidate of an address, made if there is none; it is kept until `leave`."""
        found = self._candidates.get(address)
        if found is None:
            found = self._candidates[address] = Candidate(address)
        return found

    def has_row(self, address: IPAddress) -> bool:
        """Whether an address has a row of its own in the table of classes."""
        found = self._candidates.get(address)
        return found is not None and found.at >= 0

    def leave(self, candidate: Candidate) -> None:
        """Forget a candidate that no pod has."""
        if not candidate.claims:
            del self._candidates[candidate.address]

    def _owner(self, ref: ObjectRef) -> _Owner | None:
        pod = self._pods.get(ref)
        if pod is None or pod.host_network or pod.finished:
            return None
        attachment = self._attachments.get(ref)
        addresses = attachment.addresses if attachment else pod.addresses
        return _Owner(pod, profile_of(pod), tuple(dict.fromkeys(addresses)))

    def _replace(self, old: _Owner | None, new: _Owner | None) -> set[Candidate]:
        touched: set[Candidate] = set()
        if old is not None:
            del self._owners[old.pod.ref]
            touched.update(self._leave(old, address) for address in old.addresses)
        if new is not None:
            self._owners[new.pod.ref] = new
            touched.update(self._enter(new, address) for address in new.addresses)
        return touched

    def _enter(self, new: _Owner, address: IPAddress) -> Candidate:
        candidate = self.candidate(address)
        candidate.claims = (*candidate.claims, new)
        self._changed.update([each.profile for each in candidate.claims])
        if len(candidate.claims) > 1:
            self.contested.add(candidate)
        there = self._profiles.setdefault(new.profile, {})
        there[candidate] = there.get(candidate, 0) + 1
        return candidate

    def _leave(self, old: _Owner, address: IPAddress) -> Candidate:
        candidate = self._candidates[address]
        self._changed.update([each.profile for each in candidate.claims])
        candidate.claims = tuple(each for each in candidate.claims if each is not old)
        if len(candidate.claims) < 2:
            self.contested.discard(candidate)
        there = self._profiles[old.profile]
        there[candidate] -= 1
        if not there[candidate]:
            del there[candidate]
        if not there:
            del self._profiles[old.profile]
        return candidate


class _Single4(IPv4Network):
    # Keeps its hash: it is a key of a large table, and ipaddress computes the hash slowly each time.
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
