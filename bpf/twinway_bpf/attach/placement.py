"""Which programs are attached where: at pods' devices, at their loopbacks, and at devices of the node."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import NewType

from twinway.model.node import NO_POLICY, Attachment, Endpoint
from twinway_bpf.attach.tchook import Hook, Side
from twinway_bpf.load import stamp
from twinway_bpf.load.programs import Program
from twinway_bpf.netlink.devices import LOOPBACK, Layout, PodDevice
from twinway_bpf.netlink.links import Link

Stamp = NewType("Stamp", int)
"""Stands for the program that writes it on packets."""

STAMP, STAMPED = "stamp", "out"
"""Ends of hooks' names: who stamps a pod's packets, and who looks for it."""
_LOOPBACK = Link("lo", LOOPBACK, "", bytes(6), 0)

Hooks = list[tuple[Hook, Program | Stamp]]
"""In the order in which they are set."""


class NodeDevice(StrEnum):
    """Devices in the node's own namespace that more than one pod uses."""

    UPLINK = "uplink"
    """Leads out of the node."""
    PARENT = "parent"
    """What the macvlans or ipvlans of pods are on."""


NodeDevices = Mapping[NodeDevice, Iterable[Link]]


@dataclass(frozen=True, slots=True)
class NodeHook:
    """A program at every device of one kind, whatever pods there are."""

    device: NodeDevice
    side: Side
    program: Program
    first: bool = False
    """Goes before programs that may change what it reads."""


@dataclass(frozen=True, slots=True)
class Placement(ABC):
    """A set of programs for pods' namespaces, and for the node's own: which one is attached where."""

    group: str
    """Names their pins."""
    order: int
    """Rank among our groups at one hook."""
    node: tuple[NodeHook, ...] = field(default=(), kw_only=True)

    @property
    def programs(self) -> tuple[Program, ...]:
        """Each program once."""
        of_pods = (getattr(self, each.name) for each in fields(self))
        found = (*(each for each in of_pods if isinstance(each, Program)), *(hook.program for hook in self.node))
        return tuple(dict.fromkeys(found))

    @abstractmethod
    def hooks(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        """Those of one pod."""

    def is_at(self, kind: NodeDevice) -> bool:
        """Whether any program is attached to devices of this kind."""
        return any(hook.device is kind for hook in self.node)

    def node_hooks(self, devices: NodeDevices) -> Hooks:
        """Those of the node."""
        return [(self._node_hook(each, link), each.program) for each in self.node for link in devices[each.device]]

    def weakens(self, _program: Program | Stamp, /) -> bool:
        """Whether a pod may carry this program only where no policy selects it."""
        return False

    def _node_hook(self, each: NodeHook, link: Link) -> Hook:
        name = f"{each.device}_{each.side.name.lower()}_{link.ifindex}"
        return Hook(name, "", link.ifindex, each.side, self.order, first=each.first, device=link.name)

    # a name of a pin may hold no dot on older kernels, and a container id may be anything
    def _hook(self, attachment: Attachment, end: str, where: tuple[str, Link], side: Side) -> Hook:
        name = hashlib.sha256(f"{attachment.container_id}/{attachment.ifname}".encode()).hexdigest()[:16]
        path, link = where
        return Hook(
            f"{name}_{end}", path, link.ifindex, side, self.order, first=end.endswith(STAMP), device=link.name
        )


@dataclass(frozen=True, slots=True)
class AtDevice(Placement):
    """At pods' devices, where the host can reach them: a veth's host side, else the device itself."""

    host_from: Program
    """At a veth's host side, ingress: what the pod sends."""
    host_to: Program
    pod_out: Program
    """At the device itself, in the pod's namespace, where it has no host side."""
    pod_in: Program
    loopback_in: Program | None = field(default=None, kw_only=True)
    """At the loopback of pods under a policy, ingress: what a pod says to itself, or plays that somebody said."""
    free_out: Program | None = field(default=None, kw_only=True)
    """Instead of all others at pods under no policy, where those are not needed there: at what they send."""
    free_in: Program | None = field(default=None, kw_only=True)
    """The same at what they receive, where there is no host side."""

    def weakens(self, program: Program | Stamp) -> bool:
        """The programs of pods under no policy."""
        return program in (self.free_out, self.free_in)

    def hooks(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        """From and to the pod; in its namespace the stamp goes before who looks for it."""
        hooks = self._at_device(endpoint, device)
        if self.loopback_in is not None and endpoint.policy != NO_POLICY:
            lo = device.netns, _LOOPBACK
            hooks.append((self._hook(endpoint.attachment, "lo", lo, Side.INGRESS), self.loopback_in))
        return hooks

    def _at_device(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        match device:
            case PodDevice(layout=Layout.VETH, host=Link() as host):
                return self._at_host_side(endpoint, host)
            case _:
                return self._in_pod(endpoint, device)

    def _at_host_side(self, endpoint: Endpoint, link: Link) -> Hooks:
        attachment, host = endpoint.attachment, ("", link)
        if endpoint.policy == NO_POLICY and self.free_out:
            return [(self._hook(attachment, "from", host, Side.INGRESS), self.free_out)]
        return [
            (self._hook(attachment, "from", host, Side.INGRESS), self.host_from),
            (self._hook(attachment, "to", host, Side.EGRESS), self.host_to),
        ]

    def _in_pod(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        attachment, inside = endpoint.attachment, (device.netns, device.inside)
        free = self.free_out if endpoint.policy == NO_POLICY else None
        value = Stamp(stamp.of(attachment))
        out: Hooks = [
            (self._hook(attachment, STAMP, inside, Side.EGRESS), value),
            (self._hook(attachment, STAMPED, inside, Side.EGRESS), free or self.pod_out),
        ]
        if not free:
            out.append((self._hook(attachment, f"in{STAMP}", inside, Side.INGRESS), value))
        into = self.free_in or self.pod_in if free else self.pod_in
        return [*out, (self._hook(attachment, "in", inside, Side.INGRESS), into)]


@dataclass(frozen=True, slots=True)
class AtLoopback(Placement):
    """At pods' loopbacks: what they say to themselves."""

    out: Program

    def hooks(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        """At what the pod sends there."""
        return [(self._hook(endpoint.attachment, "self", (device.netns, _LOOPBACK), Side.EGRESS), self.out)]


def is_stamp(name: str) -> bool:
    """Whether a hook of this name carries a stamp."""
    return name.endswith(STAMP)


def is_waited_for(name: str) -> bool:
    """
    Whether a hook of this name must have gone before the next goes or comes.

    What looks for a stamp must have gone before the stamp does, for without it nothing is the pod's own;
    and the stamp before another one comes. Else nobody waits: each wait is one for every processor.
    """
    return name.endswith((STAMPED, STAMP))
