"""The packet path: pods are served by programs at their devices, which translate and judge every packet."""

from __future__ import annotations

from collections.abc import Iterable

from twinway.driver import Change, Health, Requirement
from twinway.errors import DriverError
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment
from twinway_bpf.connections.users import HOST, Namespace
from twinway_bpf.netlink.devices import PodDevice
from twinway_bpf.node import NodeKernel
from twinway_bpf.pod_path import PodPath, Pods
from twinway_bpf.tables import readback
from twinway_bpf.tables.endpoints import Switch
from twinway_bpf.tables.layout import CfgFlag, Reason
from twinway_tc import probe
from twinway_tc.peers import peers_of_pods
from twinway_tc.placement import PACKET_PATH
from twinway_tc.requirements import packet_path
from twinway_tc.seed import seed


class PacketPath(PodPath):
    """The host's own clients are served at their sockets, pods on their packets."""

    def __init__(self, node: NodeKernel) -> None:
        """Attach nothing yet."""
        super().__init__(node, PACKET_PATH)
        self._served: tuple[tuple[ObjectRef, PodDevice], ...] = ()
        self._probed = 0
        self._unseeded: tuple[Attachment, ...] = ()
        self._fault = ""

    def requirements(self) -> tuple[Requirement, ...]:
        """Programs at tc hooks that can redirect."""
        return packet_path()

    def socket_clients(self) -> tuple[Namespace, ...]:
        """The host alone: a pod's next packet finds a Service that came later."""
        return (HOST,)

    def before_switch(self, _change: Change, _pods: Pods) -> tuple[str, ...]:
        """Nothing: a hook drops what a pod sends that is not in the tables yet, so pods switch first."""
        return ()

    def after_switch(self, change: Change, pods: Pods, _switch: Switch) -> tuple[str, ...]:
        """Attach hooks, and seed the connections of pods that had none: before, and what began meanwhile."""
        if not pods.moved:
            return ()
        new = (*self.hooks.new(pods.endpoints, pods.devices), *self._unseeded)
        self._seed(change, new)
        placed = self.hooks.attach(pods.endpoints, pods.devices, check=pods.check)
        self._seed(change, new)
        return placed

    def take_charge(self) -> None:
        """Socket hooks leave connections of pods alone."""
        self.node.settings.flag(CfgFlag.PODS_AT_SOCKET, on=False)

    @property
    def fault(self) -> str:
        """Pods whose sockets could not be listed, so that their connections are not seeded."""
        return self._fault

    def leave(self, pods: Pods) -> None:
        """Detach the hooks of pods that have gone."""
        super().leave(pods)
        self._served = tuple((ref, device) for ref, device in pods.devices.items() if ref not in self.refused)

    def health(self) -> Health:
        """
        Send a frame through both hooks of one pod, each time of another one.

        Of all other hooks, those at uplinks and shared parents included, the kernel is asked whether they are
        attached (`missing`). Where no pod is known, no frame can be sent, and the detail says so.
        """
        if not self._served:
            return Health(ok=True, detail="no pod is known whose hooks a frame could pass")
        self._probed = (self._probed + 1) % len(self._served)
        ref, device = self._served[self._probed]
        try:
            passed = probe.passes(device, self.node.settings, self._frames)
        except OSError as error:
            return Health(
                ok=True, detail=f"no frame could be sent to {ref.namespace}/{ref.name}: {error.strerror}"
            )
        if passed:
            return Health(ok=True, detail=f"a frame passed the hooks of {ref.namespace}/{ref.name}")
        return Health(ok=False, detail=f"a frame did not meet the hooks of {ref.namespace}/{ref.name}")

    def retire(self) -> bool:
        """
        Whether no pod's socket believes to be connected to a Service any more.

        Such sockets were translated on their packets, and are until they end. New ones are not:
        they were given a backend when they connected.
        """
        served = self.node.service_addresses()
        return not any(peer in served for peer in peers_of_pods(self.node.cgroup))

    def remove(self, spaces: Iterable[str]) -> None:
        """Detach every hook and forget all connections: a later packet path must not take them for open ones."""
        super().remove(spaces)
        self.node.loader.open_maps("tc.c")
        for name in ("tw_ct", "tw_ct_share"):
            table = self.node.table(name)
            table.remove(table.entries())

    def _frames(self) -> int:
        return readback.count(self.node.table("tw_count"), Reason.DROP_PROBE)

    # Pods whose sockets cannot be listed are hooked all the same, and seeded by the next apply.
    def _seed(self, change: Change, pods: tuple[Attachment, ...]) -> None:
        served, rev = change.state.services.values(), self.node.settings.read().rev
        try:
            seed(self.node.table("tw_ct"), pods, self.node.initiators, services=served, rev=rev)
        except DriverError as error:
            self._unseeded, self._fault = pods, str(error)
        else:
            self._unseeded, self._fault = (), ""
