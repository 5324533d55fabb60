"""Which programs stand where in a pod's way: at its device, or at its loopback."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NewType

from twinway.model.node import NO_POLICY, Attachment, Endpoint
from twinway_bpf.attach.tchook import Hook, Side
from twinway_bpf.load import stamp
from twinway_bpf.load.programs import Program
from twinway_bpf.netlink.devices import LOOPBACK, PodDevice
from twinway_bpf.netlink.links import Link

Stamp = NewType("Stamp", int)
"""Stands for the program that writes it on packets."""

STAMP, STAMPED = "stamp", "out"
"""Ends of hooks' names: who stamps a pod's packets, and who looks for it."""
_LOOPBACK = Link("lo", LOOPBACK, "", bytes(6), 0)

Hooks = list[tuple[Hook, Program | Stamp]]
"""In the order in which they are set."""


@dataclass(frozen=True, slots=True)
class Placement(ABC):
    """A set of programs for pods' namespaces: which one stands where."""

    group: str
    """Names their pins."""
    order: int
    """Rank among our groups at one hook."""
    uplink_in: Program | None = field(default=None, kw_only=True)
    free_out: Program | None = field(default=None, kw_only=True)
    """All that pods under no policy carry, where that is not the same as under one: at what they send."""

    parent_out: Program | None = field(default=None, kw_only=True)
    """At the devices that pods share, in the host's namespace; inwards at such pods that carry `free_out`."""

    @property
    @abstractmethod
    def programs(self) -> tuple[Program, ...]:
        """Each program once."""

    @abstractmethod
    def hooks(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        """Those of one pod."""

    def uplink(self, link: Link) -> Hooks:
        """That of one of the node's uplinks, if it has any."""
        if self.uplink_in is None:
            return []
        name = f"uplink_{link.ifindex}"
        return [(Hook(name, "", link.ifindex, Side.INGRESS, device=link.name), self.uplink_in)]

    def parent(self, link: Link) -> Hooks:
        """That of a device that pods share, before anybody who may change what it reads."""
        if self.parent_out is None:
            return []
        name = f"parent_{link.ifindex}"
        where = Hook(name, "", link.ifindex, Side.EGRESS, self.order, first=True, device=link.name)
        return [(where, self.parent_out)]

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

    @property
    def programs(self) -> tuple[Program, ...]:
        """Each program once."""
        at_device = (self.host_from, self.host_to, self.pod_out, self.pod_in)
        every = (*at_device, self.loopback_in, self.uplink_in, self.free_out, self.parent_out)
        return tuple(dict.fromkeys(program for program in every if program is not None))

    def hooks(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        """From and to the pod; in its namespace the stamp goes before who looks for it."""
        hooks = self._at_device(endpoint, device)
        if self.loopback_in is not None and endpoint.policy != NO_POLICY:
            lo = device.netns, _LOOPBACK
            hooks.append((self._hook(endpoint.attachment, "lo", lo, Side.INGRESS), self.loopback_in))
        return hooks

    def _at_device(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        attachment = endpoint.attachment
        free = self.free_out if endpoint.policy == NO_POLICY else None
        if device.host is not None:
            host = "", device.host
            out: Hooks = [(self._hook(attachment, "from", host, Side.INGRESS), free or self.host_from)]
            return out if free else [*out, (self._hook(attachment, "to", host, Side.EGRESS), self.host_to)]
        inside = device.netns, device.inside
        out = [
            (self._hook(attachment, STAMP, inside, Side.EGRESS), Stamp(stamp.of(attachment))),
            (self._hook(attachment, STAMPED, inside, Side.EGRESS), free or self.pod_out),
        ]
        into = self.parent_out or self.pod_in if free else self.pod_in
        if not free:
            out.append((self._hook(attachment, f"in{STAMP}", inside, Side.INGRESS), Stamp(stamp.of(attachment))))
        return [*out, (self._hook(attachment, "in", inside, Side.INGRESS), into)]


@dataclass(frozen=True, slots=True)
class AtLoopback(Placement):
    """At pods' loopbacks: what they say to themselves."""

    out: Program

    @property
    def programs(self) -> tuple[Program, ...]:
        """The one."""
        return (self.out,)

    def hooks(self, endpoint: Endpoint, device: PodDevice) -> Hooks:
        """The one."""
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
