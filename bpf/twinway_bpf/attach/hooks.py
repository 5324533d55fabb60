"""The programs of one placement, at the devices of pods and of the node: attached, checked, detached."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from twinway.driver import NodeContext
from twinway.errors import DriverError
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment, Endpoint
from twinway_bpf.attach import tchook
from twinway_bpf.attach.placement import NodeDevice, NodeDevices, Placement, Stamp, is_stamp, is_waited_for
from twinway_bpf.attach.tchook import Group, Hook, Side
from twinway_bpf.load import features, stamp
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.pins import Pins
from twinway_bpf.load.programs import Program
from twinway_bpf.netlink.devices import PodDevice, pod_device, shared_parents, uplinks
from twinway_bpf.netlink.links import Link, LinksOnce

Endpoints = Mapping[ObjectRef, Endpoint]
Devices = Mapping[ObjectRef, PodDevice]

logger = logging.getLogger(__name__)


class PodDevices:
    """The devices of this node's pods, found once each."""

    def __init__(self) -> None:
        self._known: dict[Attachment, PodDevice] = {}

    def find(self, endpoints: Endpoints, *, again: bool) -> dict[ObjectRef, PodDevice]:
        """Devices by pod, without pods whose namespace has gone, which it logs; `again` asks for all of them."""
        known = {} if again else self._known
        self._known = {}
        found = {}
        with contextlib.ExitStack() as until_found:
            own: LinksOnce | None = None
            for ref, endpoint in endpoints.items():
                attachment = endpoint.attachment
                device = known.get(attachment)
                if device is None:
                    own = own or until_found.enter_context(LinksOnce())
                    try:
                        device = pod_device(own, attachment.netns, attachment.ifname)
                    except DriverError as error:
                        logger.warning("a pod's device is gone pod=%s reason=%s", ref, error)
                        continue
                found[ref] = self._known[attachment] = device
        return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A program that is to be attached at a hook."""

    hook: Hook
    program: Program | Stamp
    pod: ObjectRef | None = None
    """None: at a device of the node."""

    def __str__(self) -> str:
        return f"{self.pod.namespace}/{self.pod.name}, {self.hook.place}" if self.pod else self.hook.place


class PacketHooks:
    """One placement of tc programs, at all devices that want it."""

    def __init__(self, placement: Placement, loader: Loader, pins: Pins, context: NodeContext) -> None:
        """Attach nothing yet."""
        self._placement = placement
        self._group = Group(pins, placement.group, context.tc_priority)
        self._loader = loader
        self._pins = pins
        self._uplink_names = context.uplinks
        self._loaded: dict[str, int] = {}
        self._placed: dict[str, _Wanted] = {}
        self._refused: dict[str, tuple[_Wanted, str]] = {}
        self._uplinks: tuple[Link, ...] | None = None

    def load(self) -> None:
        """Load the programs. Raises LoadError."""
        if not self._loaded:
            self._loaded = self._loader.load(self._placement.programs)

    def reload(self) -> None:
        """Replace the programs of links that an earlier process made. (The first apply replaces filters.)"""
        self._pins.reload(self._group.name, self._loaded)

    def new(self, endpoints: Endpoints, devices: Devices) -> tuple[Attachment, ...]:
        """Pods whose devices have no program of ours, neither of this process nor of an earlier one."""
        found = ((endpoints[ref], devices[ref]) for ref in endpoints.keys() & devices.keys())
        return tuple(pod.attachment for pod, device in found if not self._is_hooked(pod, device))

    def attach(
        self, endpoints: Endpoints, devices: Devices, *, check: bool, weaken: bool = True
    ) -> tuple[str, ...]:
        """
        Attach programs where they are missing; names of the hooks that were set.

        With `check` the kernel is asked for hooks that were set before, too. Without `weaken` a pod whose policy
        ends keeps its programs, since it has not switched yet. `refused` names hooks that could not be set.
        """
        if check or self._uplinks is None:
            self._uplinks = uplinks(self._uplink_names) if self._placement.is_at(NodeDevice.UPLINK) else ()
        placed = []
        for wanted in self._wanted(endpoints, devices):
            name = wanted.hook.name
            if not check and self._placed.get(name) == wanted:
                continue
            if not weaken and self._weakens(wanted):
                continue
            if self._attach(wanted):
                placed.append(name)
        return tuple(placed)

    def all_attached(self, endpoints: Endpoints, devices: Devices) -> bool:
        """Whether each of these pods that has a device was given all its programs."""
        return all(self._placed.get(wanted.hook.name) == wanted for wanted in self._wanted(endpoints, devices))

    @property
    def refused(self) -> Mapping[ObjectRef | None, str]:
        """Why a hook could not be set, by pod; None: at a device of the node."""
        return {
            wanted.pod: f"{wanted.hook.place}: {reason}" for wanted, reason in reversed(self._refused.values())
        }

    def missing(self) -> tuple[str, ...]:
        """Pod and place of each hook whose program is not attached, as the kernel reports now."""
        lost = [wanted for wanted in self._placed.values() if not self._is_attached(wanted)]
        never = [wanted for wanted, _ in self._refused.values()]
        return tuple(sorted(str(wanted) for wanted in (*lost, *never)))

    def detach_stale(self, endpoints: Endpoints, devices: Devices) -> int:
        """Detach what belongs neither to these pods nor to the node; how many hooks."""
        wanted = {wanted.hook.name for wanted in self._wanted(endpoints, devices)}
        stale = {*self._placed, *self._pins.links(self._group.name)} - wanted
        for name in sorted(stale, key=is_stamp):
            self._detach(name)
        self._refused = {name: why for name, why in self._refused.items() if name in wanted}
        return len(stale)

    def detach_all(self, namespaces: Iterable[str]) -> None:
        """Detach every program of ours, of this process and of earlier ones; `namespaces`: where pods are."""
        for name in sorted({*self._placed, *self._pins.links(self._group.name)}, key=is_stamp):
            self._detach(name, at_once=True)
        self._pins.remove_group(self._group.name)
        if not features.has_tcx():
            for path in ("", *namespaces):
                tchook.sweep(self._group, path, self._placement.order)

    def close(self) -> None:
        """Close the loaded programs; attached ones stay."""
        for descriptor in self._loaded.values():
            os.close(descriptor)
        self._loaded = {}

    def _detach(self, name: str, *, at_once: bool = False) -> None:
        placed = self._placed.pop(name, None)
        if at_once or is_waited_for(name):
            self._pins.end_link(self._group.name, name)
        if placed is not None:
            tchook.detach(self._group, placed.hook)
        else:
            self._pins.unpin_link(self._group.name, name)

    def _is_hooked(self, pod: Endpoint, device: PodDevice) -> bool:
        return any(self._is_there(hook) for hook, _ in self._placement.hooks(pod, device))

    def _is_there(self, hook: Hook) -> bool:
        placed = self._placed.get(hook.name)
        return (placed is not None and placed.hook == hook) or tchook.is_attached(self._group, hook)

    # A hook that has no program at all is given one: that weakens nothing.
    def _weakens(self, wanted: _Wanted) -> bool:
        if wanted.pod is None or not self._placement.weakens(wanted.program):
            return False
        return tchook.is_attached(self._group, wanted.hook)

    # A namespace that has gone took its hooks along; the agent learns soon that the pod has ended.
    def _is_attached(self, wanted: _Wanted) -> bool:
        return tchook.is_attached(self._group, wanted.hook) or tchook.is_over(wanted.hook)

    def _attach(self, wanted: _Wanted) -> bool:
        hook, program = wanted.hook, wanted.program
        self._refused.pop(hook.name, None)
        try:
            if isinstance(program, Program):
                changed = tchook.attach(self._group, hook, self._loaded[program.name])
            else:
                changed = self._attach_stamp(hook, program)
        except DriverError as error:
            self._placed.pop(hook.name, None)
            if tchook.is_over(hook):
                logger.warning("cannot set a hook, the pod is going hook=%s reason=%s", wanted, error)
            else:
                self._refused[hook.name] = wanted, str(error)
            return False
        self._placed[hook.name] = wanted
        return changed

    # A pod's stamp never changes, so one that is attached is not replaced.
    def _attach_stamp(self, hook: Hook, value: Stamp) -> bool:
        if tchook.is_attached(self._group, hook):
            return False
        descriptor = stamp.load(value, leaves=hook.side is Side.EGRESS)
        try:
            return tchook.attach(self._group, hook, descriptor)
        finally:
            os.close(descriptor)

    def _wanted(self, endpoints: Endpoints, devices: Devices) -> list[_Wanted]:
        there = endpoints.keys() & devices.keys()
        found = [
            _Wanted(hook, program, ref)
            for ref in there
            for hook, program in self._placement.hooks(endpoints[ref], devices[ref])
        ]
        of_node: NodeDevices = {
            NodeDevice.UPLINK: self._uplinks or (),
            NodeDevice.PARENT: shared_parents(devices[ref] for ref in there),
        }
        return found + [_Wanted(hook, program) for hook, program in self._placement.node_hooks(of_node)]
