"""A device with a listener at its other end, and small programs that differ in the packets that they pass."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from twinway_bpf.load import libbpf, programs
from twinway_bpf.netlink import netns
from twinway_testing import site

COMMANDS = (
    "link add name eth0 type veth peer name eth1",
    "link set eth0 up",
    "link set eth1 up",
)
KIND = 0x88B5
"""The EtherType for local experiments (IEEE 802), which nothing else sends."""
SHOT, UNSPEC = 2, -1
SECONDS = 0.5
_INSN = struct.Struct("=BBhi")
_CB4 = 64


def answering(action: int) -> int:
    """A program that returns `action` for every packet."""
    return _load(_INSN.pack(0xB4, 0, 0, action) + _INSN.pack(0x95, 0, 0, 0))


def wanting(stamp: int) -> int:
    """A program that drops packets without this stamp."""
    signed = struct.unpack("=i", struct.pack("=I", stamp))[0]
    return _load(
        _INSN.pack(0x61, 0x12, _CB4, 0)  # r2 = skb->cb[4]
        + _INSN.pack(0xB4, 0, 0, UNSPEC)
        + _INSN.pack(0x16, 2, 1, signed)  # if w2 == stamp goto exit
        + _INSN.pack(0xB4, 0, 0, SHOT)
        + _INSN.pack(0x95, 0, 0, 0)
    )


def _load(code: bytes) -> int:
    return libbpf.prog_load(programs.SCHED_CLS, 0, "tw_test", code)


@dataclass(frozen=True, slots=True)
class Wire:
    """eth0 of a namespace, whose peer is eth1 of the same namespace."""

    namespace: Path
    ifindex: int
    near: socket.socket
    far: socket.socket

    def passes(self, *, inwards: bool = False) -> bool:
        """Whether a frame passes eth0, as it is sent or, with `inwards`, received."""
        sender, receiver = (self.far, self.near) if inwards else (self.near, self.far)
        frame = b"\xff" * 6 + bytes(6) + struct.pack("!H", KIND) + os.urandom(46)
        # send() fails if egress drops the frame; else the frame arrives almost at once, or never
        with contextlib.suppress(OSError, TimeoutError):
            sender.send(frame)
            while receiver.recv(100) != frame:
                pass
            return True
        return False


@contextlib.contextmanager
def wire() -> Iterator[Wire]:
    """A wire in a namespace of its own."""
    with (
        site.namespace("wire", *COMMANDS) as namespace,
        netns.inside(str(namespace)),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(KIND)) as near,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(KIND)) as far,
    ):
        for each, name in ((near, "eth0"), (far, "eth1")):
            each.bind((name, KIND))
            each.settimeout(SECONDS)
        yield Wire(namespace, site.indices(namespace)["eth0"], near, far)
