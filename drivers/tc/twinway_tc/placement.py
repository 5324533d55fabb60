"""Where the programs of the packet path are attached."""

from __future__ import annotations

from twinway_bpf.attach.placement import AtDevice, NodeDevice, NodeHook
from twinway_bpf.attach.tchook import Side
from twinway_bpf.load import programs

PACKET_PATH = AtDevice(
    "packet",
    0,
    programs.HOST_FROM,
    programs.HOST_TO,
    programs.POD_OUT,
    programs.POD_IN,
    node=(
        NodeHook(NodeDevice.UPLINK, Side.INGRESS, programs.UPLINK_IN),
        NodeHook(NodeDevice.PARENT, Side.EGRESS, programs.PARENT_OUT, first=True),
    ),
)
