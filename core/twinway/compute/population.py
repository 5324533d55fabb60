"""Who has which address: the pods of the cluster, those of one profile together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twinway.compute.matching import Profile, profile_of
from twinway.model.cluster import Pod
from twinway.model.difference import difference
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import Attachment


@dataclass(frozen=True, slots=True)
class _Resident:
    pod: Pod
    profile: Profile
    addresses: tuple[IPAddress, ...]


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
        self._at: dict[IPAddress, tuple[_Resident, ...]] = {}
        self._profiles: dict[Profile, dict[IPAddress, int]] = {}
        # For each profile its addresses, and how many pods of the profile are there (one, as a rule).

    def update(self, pods: Mapping[ObjectRef, Pod], attachments: Mapping[ObjectRef, Attachment]) -> set[IPAddress]:
        """Be these pods from now on; the addresses whose pods changed."""
        gone, come = difference(self._pods, pods)
        moved = [
            ref
            for ref in self._attachments.keys() | attachments.keys()
            if self._attachments.get(ref) != attachments.get(ref)
        ]
        self._pods, self._attachments = pods, dict(attachments)
        touched: set[IPAddress] = set()
        for ref in {*(pod.ref for pod in gone), *(pod.ref for pod in come), *moved}:
            touched |= self._replace(self._residents.get(ref), self._resident(ref))
        return touched

    def profiles(self) -> Mapping[Profile, Mapping[IPAddress, int]]:
        """Every profile that some pod has, and the addresses of those pods."""
        return self._profiles

    def at(self, address: IPAddress) -> list[Profile]:
        """
        The profiles of the pods that have this address: one, as a rule, or none.

        While an address changes hands two pods may claim it: then one that is not terminating has it.
        """
        claims = self._at.get(address, ())
        staying = [each for each in claims if not each.pod.terminating]
        return [each.profile for each in staying or claims]

    def _resident(self, ref: ObjectRef) -> _Resident | None:
        pod = self._pods.get(ref)
        if pod is None or pod.host_network or pod.finished:
            return None
        attachment = self._attachments.get(ref)
        addresses = attachment.addresses if attachment else pod.addresses
        return _Resident(pod, profile_of(pod), tuple(dict.fromkeys(addresses)))

    def _replace(self, old: _Resident | None, new: _Resident | None) -> set[IPAddress]:
        if old is not None:
            del self._residents[old.pod.ref]
            for address in old.addresses:
                self._leave(old, address)
        if new is not None:
            self._residents[new.pod.ref] = new
            for address in new.addresses:
                self._at[address] = (*self._at.get(address, ()), new)
                there = self._profiles.setdefault(new.profile, {})
                there[address] = there.get(address, 0) + 1
        return {address for each in (old, new) if each is not None for address in each.addresses}

    def _leave(self, old: _Resident, address: IPAddress) -> None:
        others = tuple(each for each in self._at[address] if each is not old)
        there = self._profiles[old.profile]
        there[address] -= 1
        if not there[address]:
            del there[address]
        if not there:
            del self._profiles[old.profile]
        if others:
            self._at[address] = others
        else:
            del self._at[address]
