"""
Netlink: a request, and the bodies of its answer.

Source: include/uapi/linux/netlink.h; Documentation/userspace-api/netlink/intro.rst.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

ACK, DUMP = 0x4, 0x300
"""NLM_F_*: one thing, answered to its end; everything there is."""
_REQUEST, _INTERRUPTED = 0x1, 0x10  # NLM_F_REQUEST, NLM_F_DUMP_INTR
_ERROR, _DONE = 2, 3  # NLMSG_*
_ROOM = 1 << 16
_ATTRIBUTE_NAME = 0x3FFF  # without its flags

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_INT = struct.Struct("=i")


class Netlink:
    """A socket of the network namespace that this thread is in when it is opened, used from wherever later."""

    def __init__(self, protocol: int) -> None:
        """`protocol` is one of NETLINK_*."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def ask(self, kind: int, flags: int, request: bytes) -> list[bytes]:
        """
        The bodies of the answer to one request; raises OSError where the kernel refuses it.

        A listing that a change came into the middle of is asked for again.
        """
        length = _HEADER.size + len(request)
        while True:
            self._socket.send(_HEADER.pack(length, kind, _REQUEST | flags, 0, 0) + request)
            bodies, whole = self._answer()
            if whole:
                return bodies

    def _answer(self) -> tuple[list[bytes], bool]:
        bodies: list[bytes] = []
        whole = True
        while True:
            for kind, flags, body in _messages(self._socket.recv(_ROOM)):
                whole = whole and not flags & _INTERRUPTED
                if kind in (_ERROR, _DONE):
                    (number,) = _INT.unpack_from(body)
                    if number < 0:
                        raise OSError(-number, os.strerror(-number))
                    return bodies, whole
                bodies.append(body)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(name, body) of each attribute, in order."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & _ATTRIBUTE_NAME, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def attribute(kind: int, body: bytes) -> bytes:
    """An attribute, padded so that another may follow it."""
    length = _ATTRIBUTE.size + len(body)
    return (_ATTRIBUTE.pack(length, kind) + body).ljust(_aligned(length), b"\0")


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(data):
        length, kind, flags, *_ = _HEADER.unpack_from(data, at)
        yield kind, flags, data[at + _HEADER.size : at + length]
        at += _aligned(length)


# Messages and attributes begin at multiples of four.
def _aligned(length: int) -> int:
    return (length + 3) & ~3
