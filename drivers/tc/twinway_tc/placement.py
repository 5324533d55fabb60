"""Where the programs of the packet path are attached."""

from __future__ import annotations

from twinway_bpf.attach.placement import AtDevice
from twinway_bpf.load import programs

PACKET_PATH = AtDevice(
    "packet",
    0,
    programs.HOST_FROM,
    programs.HOST_TO,
    programs.POD_OUT,
    programs.POD_IN,
    uplink_in=programs.UPLINK_IN,
    parent_out=programs.PARENT_OUT,
)
