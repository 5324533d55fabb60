"""
The framing of netlink messages, for sock_diag alone: a request, and the bodies of its answer.

Devices, addresses and routes are read by pyroute2. It is too slow for a node's sockets: its DiagSocket lists
10,000 of them in 1.1 s of processor time, this in 0.13 s, and a change of policy lists them all. Nor can it ask
for socket storages or end a socket (SOCK_DESTROY).

Source: include/uapi/linux/netlink.h; Documentation/userspace-api/netlink/intro.rst.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

ACK, DUMP = 0x4, 0x300
"""NLM_F_*: acknowledge the request; list everything."""
_REQUEST, _INTERRUPTED = 0x1, 0x10  # NLM_F_REQUEST, NLM_F_DUMP_INTR
_ERROR, _DONE = 2, 3  # NLMSG_*
_ROOM = 1 << 16
_ATTRIBUTE_NAME = 0x3FFF  # without its flags

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_INT = struct.Struct("=i")


class Netlink:
    """A socket in the network namespace that this thread is in when it is opened; it stays there."""

    def __init__(self, protocol: int) -> None:
        """`protocol` is one of NETLINK_*."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, kind: int, flags: int, request: bytes) -> list[bytes]:
        """
        Send a request and return the bodies of its answer. Raises OSError where the kernel refuses it.

        The request is repeated while the kernel reports that a change interrupted its listing.
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
    """Split attributes into (type, body), in order."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & _ATTRIBUTE_NAME, data[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)


def attribute(kind: int, body: bytes) -> bytes:
    """Encode an attribute, padded so that another one may follow."""
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
