"""The packet path as a driver: Services and policy at the tc hooks of pods' devices."""

from __future__ import annotations

from twinway_bpf.driver import KernelDriver
from twinway_bpf.node import NodeKernel
from twinway_tc.path import PacketPath


class TcDriver(KernelDriver):
    """Pods are served on their packets, the host's own clients at their sockets."""

    name = "tc"

    def pod_path(self, node: NodeKernel) -> PacketPath:
        """The packet path."""
        return PacketPath(node)
