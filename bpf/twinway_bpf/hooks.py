"""Which programs a pod's device and the node's uplinks carry, and seeing that they stay there."""

from __future__ import annotations

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NewType

from twinway.errors import DriverError
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment, Endpoint
from twinway_bpf import features, programs, stamp, tchook
from twinway_bpf.devices import PodDevice, pod_device, uplinks
from twinway_bpf.loader import Loader
from twinway_bpf.pins import Pins
from twinway_bpf.programs import Program
from twinway_bpf.rtnetlink import Link
from twinway_bpf.tchook import Hook, Side

Stamp = NewType("Stamp", int)
"""Stands for the program that writes it on packets."""

_STAMP, _STAMPED = "stamp", "out"
"""Ends of hooks' names: who stamps a pod's packets, and who looks for it."""
_LOOPBACK = 1
"""Index of lo, in every namespace. Source: include/net/flow.h, LOOPBACK_IFINDEX."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placement(ABC):
    """A set of programs for pods' namespaces: which one stands where."""

    group: str
    """Names their pins."""
    order: int
    """Rank among our groups at one hook."""
    uplink_in: Program | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def programs(self) -> tuple[Program, ...]:
        """Each program once."""

    @abstractmethod
    def hooks(self, attachment: Attachment, device: PodDevice) -> list[tuple[Hook, Program | Stamp]]:
        """Those of one pod, in the order in which they are set."""

    # a name of a pin may hold no dot on older kernels, and a container id may be anything
    def _hook(self, attachment: Attachment, end: str, where: tuple[str, int], side: Side) -> Hook:
        name = hashlib.sha256(f"{attachment.container_id}/{attachment.ifname}".encode()).hexdigest()[:16]
        return Hook(f"{name}_{end}", *where, side, self.order, first=end == _STAMP)


@dataclass(frozen=True, slots=True)
class AtDevice(Placement):
    """At pods' devices, where the host can reach them: a veth's host side, else the device itself."""

    host_from: Program
    """At a veth's host side, ingress: what the pod sends."""
    host_to: Program
    pod_out: Program
    """At the device itself, in the pod's namespace, where it has no host side."""
    pod_in: Program

    @property
    def programs(self) -> tuple[Program, ...]:
        """Each program once."""
        every = (self.host_from, self.host_to, self.pod_out, self.pod_in, self.uplink_in)
        return tuple(dict.fromkeys(program for program in every if program is not None))

    def hooks(self, attachment: Attachment, device: PodDevice) -> list[tuple[Hook, Program | Stamp]]:
        """From and to the pod; in its namespace the stamp goes before who looks for it."""
        if device.host is not None:
            host = "", device.host.ifindex
            return [
                (self._hook(attachment, "from", host, Side.INGRESS), self.host_from),
                (self._hook(attachment, "to", host, Side.EGRESS), self.host_to),
            ]
        inside = device.netns, device.inside.ifindex
        return [
            (self._hook(attachment, _STAMP, inside, Side.EGRESS), Stamp(stamp.of(attachment))),
            (self._hook(attachment, _STAMPED, inside, Side.EGRESS), self.pod_out),
            (self._hook(attachment, "in", inside, Side.INGRESS), self.pod_in),
        ]


@dataclass(frozen=True, slots=True)
class AtLoopback(Placement):
    """At pods' loopbacks: what they say to themselves."""

    out: Program

    @property
    def programs(self) -> tuple[Program, ...]:
        """The one."""
        return (self.out,)

    def hooks(self, attachment: Attachment, device: PodDevice) -> list[tuple[Hook, Program | Stamp]]:
        """The one."""
        return [(self._hook(attachment, "self", (device.netns, _LOOPBACK), Side.EGRESS), self.out)]


PACKET_PATH = AtDevice(
    "packet",
    0,
    programs.HOST_FROM,
    programs.HOST_TO,
    programs.POD_OUT,
    programs.POD_IN,
    uplink_in=programs.UPLINK_IN,
)
GUARD = AtDevice("guard", 1, programs.GUARD_FROM, programs.GUARD_TO, programs.GUARD_FROM, programs.GUARD_TO)
GUARD_SELF = AtLoopback("self", 1, programs.GUARD_SELF)


class PodDevices:
    """The devices of this node's pods, found once each."""

    def __init__(self) -> None:
        self._known: dict[Attachment, PodDevice] = {}

    def find(self, endpoints: Mapping[ObjectRef, Endpoint], *, again: bool) -> dict[ObjectRef, PodDevice]:
        """Devices by pod, without those whose namespace has gone, which are told of; `again` looks anew."""
        known = {} if again else self._known
        self._known = {}
        found = {}
        for ref, endpoint in endpoints.items():
            attachment = endpoint.attachment
            try:
                device = known.get(attachment) or pod_device(attachment.netns, attachment.ifname)
            except DriverError as error:
                logger.warning("a pod's device is gone pod=%s reason=%s", ref, error)
                continue
            found[ref] = self._known[attachment] = device
        return found


class PacketHooks:
    """One placement of tc programs, at all pods and uplinks that want it."""

    def __init__(self, placement: Placement, loader: Loader, pins: Pins, uplink_names: tuple[str, ...]) -> None:
        """`uplink_names`: empty for the devices of the default routes."""
        self._placement = placement
        self._group = placement.group
        self._loader = loader
        self._pins = pins
        self._uplink_names = uplink_names
        self._loaded: dict[str, int] = {}
        self._placed: dict[str, Hook] = {}
        self._uplinks: tuple[Link, ...] | None = None

    def load(self) -> None:
        """Load the programs. Raises LoadError."""
        if not self._loaded:
            self._loaded = self._loader.load(self._placement.programs)

    def new(
        self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]
    ) -> tuple[Attachment, ...]:
        """Pods at whose devices there is no program of ours, of this process or an earlier one."""
        found = ((endpoints[ref].attachment, devices[ref]) for ref in endpoints.keys() & devices.keys())
        return tuple(pod for pod, device in found if not self._is_hooked(pod, device))

    def attach(
        self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice], *, check: bool
    ) -> tuple[str, ...]:
        """
        Put programs where they are missing; names of the hooks that had to be set.

        With `check` hooks that were set before are looked at again.
        """
        if check or self._uplinks is None:
            self._uplinks = uplinks(self._uplink_names) if self._placement.uplink_in else ()
        wanted = {hook.name: (hook, program) for hook, program in self._wanted(endpoints, devices)}
        placed = []
        for name, (hook, program) in wanted.items():
            if not check and self._placed.get(name) == hook:
                continue
            if self._attach(hook, program):
                placed.append(name)
        return tuple(placed)

    def stand(self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]) -> bool:
        """Whether each of these pods that has a device has all its programs, for all that we know."""
        return all(self._placed.get(hook.name) == hook for hook, _ in self._wanted(endpoints, devices))

    def detach_stale(self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]) -> int:
        """Let go of hooks that belong to no pod of now; how many."""
        wanted = {hook.name for hook, _ in self._wanted(endpoints, devices)}
        stale = {*self._placed, *self._pins.links(self._group)} - wanted
        for name in sorted(stale, key=_is_stamp):
            self._detach(name)
        return len(stale)

    def detach_all(self, namespaces: Iterable[str]) -> None:
        """Take every program of ours away, of this process and of earlier ones; `namespaces`: where pods are."""
        for name in sorted({*self._placed, *self._pins.links(self._group)}, key=_is_stamp):
            self._detach(name, at_once=True)
        self._pins.remove_group(self._group)
        if not features.has_tcx():
            for path in ("", *namespaces):
                tchook.sweep(path, self._placement.order)

    def close(self) -> None:
        """Let go of the loaded programs; attached ones stay."""
        for descriptor in self._loaded.values():
            os.close(descriptor)
        self._loaded = {}

    # What looks for a stamp must have gone before the stamp does, for without it nothing is the pod's own;
    # and the stamp before another one comes. Else nobody waits: each wait is one for every processor.
    def _detach(self, name: str, *, at_once: bool = False) -> None:
        hook = self._placed.pop(name, None)
        if at_once or name.endswith((_STAMPED, _STAMP)):
            self._pins.end_link(self._group, name)
        if hook is not None:
            tchook.detach(self._pins, self._group, hook)
        else:
            self._pins.unpin_link(self._group, name)

    def _is_hooked(self, pod: Attachment, device: PodDevice) -> bool:
        return any(
            self._placed.get(hook.name) == hook or tchook.is_attached(self._pins, self._group, hook)
            for hook, _ in self._placement.hooks(pod, device)
        )

    def _attach(self, hook: Hook, program: Program | Stamp) -> bool:
        try:
            if isinstance(program, Program):
                changed = tchook.attach(self._pins, self._group, hook, self._loaded[program.name])
            else:
                changed = self._attach_stamp(hook, program)
        except DriverError as error:
            # the pod may just be going; if not, the next repair tries again and says so again
            logger.warning("cannot set a hook hook=%s reason=%s", hook.name, error)
            self._placed.pop(hook.name, None)
            return False
        self._placed[hook.name] = hook
        return changed

    # A pod's stamp never changes: where it is, it stays.
    def _attach_stamp(self, hook: Hook, value: Stamp) -> bool:
        if tchook.is_attached(self._pins, self._group, hook):
            return False
        descriptor = stamp.load(value)
        try:
            return tchook.attach(self._pins, self._group, hook, descriptor)
        finally:
            os.close(descriptor)

    def _wanted(
        self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]
    ) -> list[tuple[Hook, Program | Stamp]]:
        hooks: list[tuple[Hook, Program | Stamp]] = []
        for ref in endpoints.keys() & devices.keys():
            device = devices[ref]
            hooks += self._placement.hooks(endpoints[ref].attachment, device)
        uplink_in = self._placement.uplink_in
        if uplink_in is not None:
            for uplink in self._uplinks or ():
                hooks.append((Hook(f"uplink_{uplink.ifindex}", "", uplink.ifindex, Side.INGRESS), uplink_in))
        return hooks


def _is_stamp(name: str) -> bool:
    return name.endswith(_STAMP)
