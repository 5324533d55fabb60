"""Datapaths of either driver, without the agent around them."""

from __future__ import annotations

from twinway.driver import NodeContext
from twinway_bpf.datapath import Datapath
from twinway_bpf.node import NodeKernel
from twinway_sockops.path import SocketPath
from twinway_sockops.policy import CALM_SECONDS
from twinway_tc.path import PacketPath

DRIVERS = "tc", "sockops"


def make(context: NodeContext, driver: str, *, calm: float = CALM_SECONDS, **sizes: int) -> Datapath:
    """Not started; `sizes` are capacities of tables."""
    node = NodeKernel(context, {"ct": 1024, **sizes}, section="drivers.any.maps")
    return Datapath(node, PacketPath(node) if driver == "tc" else SocketPath(node, calm=calm))
