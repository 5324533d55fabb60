"""
Pods and the node itself in the kernel: whose address is whose, and which policy a pod is under.

This is where pods switch to a new policy: one write each, after everything that it needs is in place.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twinway.driver import Change
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import DENY_ALL, NO_POLICY, Attachment, Endpoint
from twinway_bpf.load import stamp
from twinway_bpf.load.maps import Map
from twinway_bpf.netlink.devices import Layout, PodDevice
from twinway_bpf.netlink.links import Link
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Ep, EpKind
from twinway_bpf.tables.policy import PolicyTables
from twinway_bpf.tables.sync import Step

logger = logging.getLogger(__name__)

Devices = Mapping[ObjectRef, PodDevice]


@dataclass(frozen=True, slots=True)
class Switch:
    """What `EndpointTables.switch` did; `judge_anew`: established connections must be judged again."""

    step: Step
    judge_anew: bool


class EndpointTables:
    """tw_ep, and the policy tables that its entries point to."""

    def __init__(self, endpoints: Map, policy: PolicyTables) -> None:
        """The open map; `policy` belongs to this object."""
        self._map = endpoints
        self._policy = policy
        self._held: dict[bytes, bytes] | None = None
        self._wanted: dict[bytes, bytes] = {}
        self._keys: dict[ObjectRef, tuple[Attachment, list[bytes]]] = {}
        # a process that ended may have switched pods and done no more
        self._judged = False
        self.devices: dict[ObjectRef, bytes] = {}
        """The keys of the devices of the pods that were switched last."""
        self.moved = True
        """Whether an address came, or left its pod or its device, since whoever uses this said that it did not."""

    def switch(self, change: Change, devices: Devices, node: Iterable[IPAddress]) -> Switch:
        """
        Write pods, node addresses and policy of a complete state; nothing of a pod is removed yet.

        Connections are to be judged anew only where a verdict may have changed: see `_changes_verdicts`.
        """
        judged, self._judged = self._judged, False  # until this switch is known to be whole
        held = self._read(repair=change.repair or change.previous is None)
        policy = change.state.policy
        if self._policy.mixed:
            self._end_mixture(change)
        prepared, generation = self._policy.prepare(policy)
        wanted = self._entries(change.state.endpoints, devices, node, generation)
        # pods first: where there is no room for all, the node's addresses are what can wait
        writes = {key: value for key, value in reversed(wanted.items()) if held.get(key) != value}
        self.moved |= any(
            key not in held or _place_of(held[key]) != _place_of(value) for key, value in writes.items()
        )
        self._map.write(writes)
        left = self._leave(key for key in held.keys() - wanted.keys() if _kind(held[key]) == EpKind.NODE)
        anew = not judged or bool(prepared.written) or _changes_verdicts(held, writes)
        if not anew and any(endpoint.policy != NO_POLICY for endpoint in change.state.endpoints.values()):
            # every pod of the node lets the node itself in
            anew = bool(left) or any(
                key not in held and _kind(value) == EpKind.NODE for key, value in writes.items()
            )
        held.update(writes)
        self._wanted = wanted
        self._policy.switched(generation)
        self._judged = not anew
        return Switch(prepared + Step(len(writes), left), anew)

    def judged(self) -> None:
        """Established connections are going to be judged by what the last switch left."""
        self._judged = True

    def catch_up(self) -> Step:
        """What the next change would do first; nothing in force changes."""
        return self._policy.catch_up()

    def settle(self, change: Change) -> Step:
        """Remove pods, prefixes and policy sets that are over, after `switch` for the same change."""
        held = self._read(repair=False)
        over = held.keys() - self._wanted.keys()
        self.moved |= bool(over)
        removed = self._leave(over)
        return Step(0, removed) + self._policy.settle(change.state.policy)

    def _leave(self, keys: Iterable[bytes]) -> int:
        held, over = self._read(repair=False), list(keys)
        removed = self._map.remove(over)
        for key in over:
            del held[key]
        return removed

    def _read(self, *, repair: bool) -> dict[bytes, bytes]:
        if self._held is None or repair:
            self._held = self._map.entries()
            entries = (Ep.from_buffer_copy(value) for value in self._held.values())
            self._policy.adopt(frozenset(ep.gen for ep in entries if ep.policy not in (NO_POLICY, DENY_ALL)))
        return self._held

    def _entries(
        self, endpoints: Mapping[ObjectRef, Endpoint], devices: Devices, node: Iterable[IPAddress], generation: int
    ) -> dict[bytes, bytes]:
        entries = {encode.address(address): encode.endpoint_value(EpKind.NODE) for address in node}
        known, self._keys = self._keys, {}
        self.devices = {}
        for ref, endpoint in endpoints.items():
            attachment, keys = known.get(ref) or (None, [])
            if attachment is not endpoint.attachment:
                keys = [encode.address(address) for address in endpoint.attachment.addresses]
            self._keys[ref] = endpoint.attachment, keys
            place = _place(endpoint, devices.get(ref))
            value = encode.endpoint_value(EpKind.POD, endpoint.policy, generation, place)
            entries.update(dict.fromkeys(keys, value))
            if place != encode.NOWHERE:
                self.devices[ref] = encode.device(place)
                entries[self.devices[ref]] = value
        return entries

    # An earlier process ended while pods switched from one generation to the other. Where the newer
    # one is what is wanted now, it is simply finished. Else pods of the one generation are closed
    # for the moment it takes: more closed than both is allowed, more open is not.
    def _end_mixture(self, change: Change) -> None:
        held = self._read(repair=False)
        target = self._policy.completes(change.state.policy)
        if target is not None:
            self._policy.switched(target)
            return
        logger.warning("policy was left half changed by an agent that ended; closing the pods in between")
        staying = self._policy.generation
        closed = {}
        for key, value in held.items():
            ep = Ep.from_buffer_copy(value)
            if ep.policy != NO_POLICY and ep.gen != staying:
                ep.policy, ep.gen = DENY_ALL, staying
                closed[key] = bytes(ep)
        self._map.write(closed)
        held.update(closed)
        self._policy.switched(staying)


def _place(endpoint: Endpoint, device: PodDevice | None) -> encode.Place:
    if device is None:
        return encode.NOWHERE
    match device:
        case PodDevice(layout=Layout.VETH, host=Link() as host):
            return encode.Place(host.ifindex, device.inside.mac, host.mac, netns=host.netns)
        case _:
            return encode.Place(0, device.inside.mac, device.beside, stamp.of(endpoint.attachment))


# Whether an established connection of a pod may have another verdict after these writes than before. A pod
# that comes without a policy denies nothing. One that comes under a policy may have an address that still has
# the connections of an earlier pod.
def _changes_verdicts(held: Mapping[bytes, bytes], writes: Mapping[bytes, bytes]) -> bool:
    return any(
        _judged_by(held[key]) != _judged_by(value) if key in held else _policy(value) != NO_POLICY
        for key, value in writes.items()
    )


def _kind(value: bytes) -> int:
    return value[Ep.kind.offset]


def _policy(value: bytes) -> int:
    return int(Ep.from_buffer_copy(value).policy)


# Both generations of classes say the same.
def _judged_by(value: bytes) -> tuple[int, int]:
    return _kind(value), _policy(value)


def _place_of(value: bytes) -> tuple[int, int]:
    ep = Ep.from_buffer_copy(value)
    return ep.ifindex, ep.stamp
