"""
How the pods of a node are served: all of a driver that is its own.

`Datapath.apply` writes the tables that every driver shares, and calls a `PodPath` between its steps:

    before_switch → pods switch to their policy → after_switch → Services → take_charge → leave

A pod switches by one write to tw_ep (`tables/endpoints.py`). What enforces the new policy must be attached
before it, or what speaks for the pod must be known before, as the path needs it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from twinway.driver import Change, Health, Requirement
from twinway.model.net import ObjectRef
from twinway.model.node import NO_POLICY, Attachment, Endpoint
from twinway_bpf.attach.hooks import Devices, Endpoints, PacketHooks
from twinway_bpf.attach.placement import Placement
from twinway_bpf.connections.users import Namespace
from twinway_bpf.netlink.devices import PodDevice
from twinway_bpf.node import NodeKernel
from twinway_bpf.tables.endpoints import Switch


class PodHook(NamedTuple):
    """What decides where a pod's hooks are: its interface, its device, and whether a policy selects it."""

    attachment: Attachment
    device: PodDevice | None
    under_policy: bool


@dataclass(frozen=True)
class Pods:
    """The pods of one state and their devices. A pod whose namespace has gone has no device."""

    endpoints: Endpoints
    devices: Devices
    check: bool
    """Whether hooks that were set before are looked at again."""
    before: Sequence[PodHook]
    """`hooked` of the last apply that came to its end."""

    @cached_property
    def under_policy(self) -> dict[ObjectRef, Endpoint]:
        """Those that a policy selects."""
        return {ref: endpoint for ref, endpoint in self.endpoints.items() if endpoint.policy != NO_POLICY}

    @cached_property
    def under_none(self) -> dict[ObjectRef, Endpoint]:
        """The others."""
        return {ref: endpoint for ref, endpoint in self.endpoints.items() if endpoint.policy == NO_POLICY}

    @cached_property
    def hooked(self) -> list[PodHook]:
        """What decides where the hooks of these pods are."""
        return [
            PodHook(each.attachment, self.devices.get(ref), each.policy != NO_POLICY)
            for ref, each in self.endpoints.items()
        ]

    @cached_property
    def moved(self) -> bool:
        """Whether hooks belong elsewhere than before; true with `check`, too."""
        return self.check or self.hooked != self.before

    @cached_property
    def moved_under_policy(self) -> bool:
        """Whether hooks of pods under a policy belong elsewhere than before."""
        return [each for each in self.hooked if each.under_policy] != [
            each for each in self.before if each.under_policy
        ]


class PodPath(ABC):
    """
    Serves pods through programs at their devices, and through whatever a subclass adds.

    Steps raise DriverError where the state cannot be reached; the next `apply` then begins at the first step.
    """

    def __init__(self, node: NodeKernel, placement: Placement) -> None:
        """Attach nothing yet."""
        self.node = node
        self.hooks = PacketHooks(placement, node.loader, node.pins, node.context)

    @abstractmethod
    def requirements(self) -> tuple[Requirement, ...]:
        """What it needs of the kernel beside what every driver needs. Called with the privileges to probe it."""

    def load(self) -> None:
        """Load all programs that it may attach. Raises LoadError."""
        self.hooks.load()

    def reload(self) -> None:
        """Replace the programs that an earlier process attached by those that were loaded now."""
        self.hooks.reload()

    @abstractmethod
    def socket_clients(self) -> tuple[Namespace, ...]:
        """The namespaces whose clients are given a backend when they connect."""

    @abstractmethod
    def before_switch(self, change: Change, pods: Pods, /) -> tuple[str, ...]:
        """Attach what enforces the new policies before pods switch to them; names of the hooks that were set."""

    @abstractmethod
    def after_switch(self, change: Change, pods: Pods, switch: Switch, /) -> tuple[str, ...]:
        """Attach the rest; names of the hooks that were set."""

    @abstractmethod
    def take_charge(self) -> None:
        """Tell the programs that new connections of pods are served in this way."""

    def leave(self, pods: Pods) -> None:
        """Detach what the pods of now do not need, after they have switched."""
        self.hooks.detach_stale(pods.endpoints, pods.devices)

    def catch_up(self) -> float | None:
        """Go on with what can wait; seconds until there is more to do, None: nothing is left."""
        return None

    @property
    def refused(self) -> Mapping[ObjectRef | None, str]:
        """Why a pod's hooks could not be set, by pod; None stands for hooks of the node."""
        return self.hooks.refused

    @property
    def fault(self) -> str:
        """What else failed in the last `after_switch` and is tried again by the next one; empty: nothing."""
        return ""

    def lost(self) -> tuple[str, ...]:
        """Hooks other than at devices that are missing and that the next `before_switch` sets again."""
        return ()

    def missing(self) -> tuple[str, ...]:
        """Hooks that are not where they were attached, as the kernel reports now."""
        return self.hooks.missing()

    @abstractmethod
    def health(self) -> Health:
        """How the path itself works, beside the socket hooks and whether hooks are missing."""

    @abstractmethod
    def retire(self) -> bool:
        """Whether nothing that is under way needs this path any more; see `Driver.retire`."""

    def remove(self, spaces: Iterable[str]) -> None:
        """Take away all that this path alone needs; `spaces`: paths of the network namespaces that pods are in."""
        self.hooks.detach_all(spaces)

    def close(self) -> None:
        """Close the loaded programs; attached ones stay."""
        self.hooks.close()
