"""
Stamps, which identify pods whose hooks are in their own namespaces.

The index of a device does not identify a pod there, because every pod's device may have the same one. So a small
program runs before twinway's and writes the pod's stamp into the packet's control block. The main program compares
it with the stamp of the pod that the packet's address belongs to. The alternative, to load the main program once
for each pod, would cost four thousand instructions a pod instead of five.
"""

from __future__ import annotations

import hashlib
import struct

from twinway.model.node import Attachment
from twinway_bpf.load import libbpf, programs

_CB3, _CB4 = 60, 64  # offsets of cb[3] and cb[4] in struct __sk_buff
_STAMPED = 0x74777374
"""Written beside a stamp when the packet has passed this pod's programs (kernel/around.h)."""
_INSN = struct.Struct("=BBhi")


def of(attachment: Attachment) -> int:
    """The stamp of a pod's interface: 32 bits of a digest of its name, never 0."""
    text = f"{attachment.container_id}/{attachment.ifname}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") or 1


def load(value: int, *, leaves: bool = True) -> int:
    """
    Load the program that stamps packets with `value` and lets the next program decide; return its descriptor.

    With `leaves`, it also marks packets as having passed their pod's programs. Packets to the pod are not marked:
    they carry the sender's mark, or none.
    """
    signed = struct.unpack("=i", struct.pack("=I", value))[0]
    mark = (
        _INSN.pack(0xB4, 0x02, 0, _STAMPED)  # w2 = the mark
        + _INSN.pack(0x63, 0x21, _CB3, 0)  # skb->cb[3] = w2
    )
    code = (
        _INSN.pack(0xB4, 0x02, 0, signed)  # w2 = value
        + _INSN.pack(0x63, 0x21, _CB4, 0)  # skb->cb[4] = w2
        + (mark if leaves else b"")
        + _INSN.pack(0xB4, 0x00, 0, -1)  # return TC_ACT_UNSPEC
        + _INSN.pack(0x95, 0x00, 0, 0)
    )
    return libbpf.prog_load(programs.SCHED_CLS, 0, "tw_stamp", code)
