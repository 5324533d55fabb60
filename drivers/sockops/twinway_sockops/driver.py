"""The socket path as a driver: Services when a socket connects or sends, with no connection table."""

from __future__ import annotations

from pydantic import Field

from twinway_bpf.driver import KernelDriver
from twinway_bpf.load.options import KernelOptions
from twinway_bpf.node import NodeKernel
from twinway_sockops.path import SocketPath
from twinway_sockops.policy import CALM_SECONDS


class SockopsOptions(KernelOptions):
    """`idle_after`: seconds without a change of policy after which its programs may be detached from sockets."""

    idle_after: float = Field(
        default=CALM_SECONDS,
        ge=0.0,
        le=86400.0,
        description="Seconds without a change of policy after which packets of connections that are all allowed "
        "pass unseen at their sockets.",
    )


class SockopsDriver(KernelDriver):
    """Pods and the host are served at their sockets."""

    name = "sockops"
    Options = SockopsOptions

    def pod_path(self, node: NodeKernel) -> SocketPath:
        """The socket path."""
        options = self.options if isinstance(self.options, SockopsOptions) else SockopsOptions()
        return SocketPath(node, calm=options.idle_after)
