"""Where the programs of the guard are attached: beside policy at sockets, they judge what begins."""

from __future__ import annotations

from twinway_bpf.attach.placement import AtDevice, AtLoopback, NodeDevice, NodeHook
from twinway_bpf.attach.tchook import Side
from twinway_bpf.load import programs

GUARD = AtDevice(
    "guard",
    1,
    programs.GUARD_FROM,
    programs.GUARD_TO,
    programs.GUARD_FROM,
    programs.GUARD_TO,
    loopback_in=programs.GUARD_LO,
    free_out=programs.SOURCE_FROM,
    free_in=programs.PARENT_OUT,
    node=(NodeHook(NodeDevice.PARENT, Side.EGRESS, programs.PARENT_OUT, first=True),),
)
GUARD_SELF = AtLoopback("self", 1, programs.GUARD_SELF)
