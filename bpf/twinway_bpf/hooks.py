"""Which programs a pod's device and the node's uplinks carry, and seeing that they stay there."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping

from twinway.errors import DriverError
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment, Endpoint
from twinway_bpf import programs, tchook
from twinway_bpf.devices import PodDevice, pod_device, uplinks
from twinway_bpf.loader import Loader
from twinway_bpf.pins import Pins
from twinway_bpf.tchook import Hook, Side

logger = logging.getLogger(__name__)

GROUP = "packet"


class PodDevices:
    """The devices of this node's pods, found once each."""

    def __init__(self) -> None:
        self._known: dict[Attachment, PodDevice] = {}

    def find(self, endpoints: Mapping[ObjectRef, Endpoint], *, again: bool) -> dict[ObjectRef, PodDevice]:
        """Devices by pod; one whose namespace has gone is left out, and told of. `again` forgets what was known."""
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
    """The tc programs at pods and uplinks."""

    def __init__(self, loader: Loader, pins: Pins, uplink_names: tuple[str, ...]) -> None:
        """`uplink_names`: empty for the devices of the default routes."""
        self._loader = loader
        self._pins = pins
        self._uplink_names = uplink_names
        self._loaded: dict[str, int] = {}
        self._placed: dict[str, Hook] = {}

    def load(self) -> None:
        """Load the programs. Raises LoadError."""
        if not self._loaded:
            self._loaded = self._loader.load(programs.PACKET)

    def attach(
        self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice], *, check: bool
    ) -> tuple[str, ...]:
        """
        Put programs where they are missing; names of the hooks that had to be set.

        With `check` hooks that were set before are looked at again.
        """
        wanted = {hook.name: (hook, program) for hook, program in self._wanted(endpoints, devices)}
        placed = []
        for name, (hook, program) in wanted.items():
            if not check and self._placed.get(name) == hook:
                continue
            if self._attach(hook, program):
                placed.append(name)
        return tuple(placed)

    def detach_stale(self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]) -> int:
        """Let go of hooks that belong to no pod of now; how many."""
        wanted = {hook.name for hook, _ in self._wanted(endpoints, devices)}
        stale = {*self._placed, *self._pins.links(GROUP)} - wanted
        for name in stale:
            hook = self._placed.pop(name, None)
            if hook is not None:
                tchook.detach(self._pins, GROUP, hook)
            else:
                self._pins.unpin_link(GROUP, name)
        return len(stale)

    def detach_all(self) -> None:
        """Take every program of ours away, of this process and of earlier ones."""
        for hook in self._placed.values():
            tchook.detach(self._pins, GROUP, hook)
        self._pins.remove_group(GROUP)
        self._placed = {}

    def close(self) -> None:
        """Let go of the loaded programs; attached ones stay."""
        for descriptor in self._loaded.values():
            os.close(descriptor)
        self._loaded = {}

    def _attach(self, hook: Hook, program: programs.Program) -> bool:
        try:
            changed = tchook.attach(self._pins, GROUP, hook, self._loaded[program.name])
        except DriverError as error:
            # the pod may just be going; if not, the next repair tries again and says so again
            logger.warning("cannot set a hook hook=%s reason=%s", hook.name, error)
            self._placed.pop(hook.name, None)
            return False
        self._placed[hook.name] = hook
        return changed

    def _wanted(
        self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]
    ) -> list[tuple[Hook, programs.Program]]:
        hooks = []
        for ref, device in devices.items():
            hooks += _pod_hooks(endpoints[ref].attachment, device)
        for uplink in uplinks(self._uplink_names):
            hooks.append((Hook(f"uplink_{uplink.ifindex}", "", uplink.ifindex, Side.INGRESS), programs.UPLINK_IN))
        return hooks


def _pod_hooks(attachment: Attachment, device: PodDevice) -> list[tuple[Hook, programs.Program]]:
    # a name of a pin may hold no dot on older kernels, and a container id may be anything
    name = hashlib.sha256(f"{attachment.container_id}/{attachment.ifname}".encode()).hexdigest()[:16]
    if device.host is not None:
        index = device.host.ifindex
        return [
            (Hook(f"{name}_from", "", index, Side.INGRESS), programs.HOST_FROM),
            (Hook(f"{name}_to", "", index, Side.EGRESS), programs.HOST_TO),
        ]
    index = device.inside.ifindex
    return [
        (Hook(f"{name}_out", device.netns, index, Side.EGRESS), programs.POD_OUT),
        (Hook(f"{name}_in", device.netns, index, Side.INGRESS), programs.POD_IN),
    ]
