"""
Lists the sockets of a network namespace (NETLINK_SOCK_DIAG), and ends them.

Of TCP sockets the kernel also reports the storage that programs keep on them (5.7) and their counters. Of other
sockets it reports no storage, although it accepts the question (inet_sk_diag_fill returns before that);
`sockdiag_holders` reads it instead.
Source: include/uapi/linux/{netlink,sock_diag,inet_diag}.h, enum sk_diag_bpf_storage in bpf.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import NamedTuple

from twinway.errors import DriverError, Unsupported
from twinway.model.net import IPAddress, Protocol
from twinway_bpf.connections.framing import ACK, DUMP, Netlink, attribute, attributes
from twinway_bpf.netlink import netns
from twinway_bpf.tables import encode

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY, _DESTROY = 20, 21  # SOCK_DIAG_BY_FAMILY, SOCK_DESTROY

# Names of attributes: of a request, and of an answer; nested ones follow the one that contains them.
_REQ_STORAGES, _REQ_MAP = 2, 1
_STORAGES, _STORAGE, _MAP_VALUE = 20, 1, 3
_INFO = 2

_REQUEST_V2 = struct.Struct("=BBBxI48s")  # inet_diag_req_v2: family, protocol, extensions, states, id
_MESSAGE = struct.Struct("=BBBB48s16xI")  # inet_diag_msg: family, state, timer, retransmits, id, inode
_ID = struct.Struct("=2s2s16s16sIII")  # inet_diag_sockid: ports, addresses, device, cookie
_INT = struct.Struct("=i")


class State(IntEnum):
    """The state of a socket. Connected UDP is ESTABLISHED, other UDP is CLOSED."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT1 = 4
    FIN_WAIT2 = 5
    TIME_WAIT = 6
    CLOSED = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTENING = 10
    CLOSING = 11


class End(NamedTuple):
    """One end of a socket; IPv4 is IPv4 whatever the socket's own family."""

    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket. `peer` is all zero where it has none."""

    protocol: Protocol
    state: State
    local: End
    peer: End
    cookie: int
    inode: int
    """By which processes' descriptors name it; 0: no process holds it."""
    storage: bytes | None
    """TCP: what the map that was asked for holds for it; None: nothing, or no map was asked for."""
    info: bytes | None
    """TCP: its struct tcp_info, where that was asked for."""
    family: int
    """AF_INET or AF_INET6, which may speak IPv4, too."""
    identity: bytes
    """struct inet_diag_sockid: how the kernel finds it again."""


class SockDiag(netns.NamespaceSocket):
    """The sockets of the network namespace that this thread is in when it is opened, from wherever later."""

    def __init__(self) -> None:
        self._netlink = Netlink(_NETLINK_SOCK_DIAG)

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def sockets(
        self, protocol: Protocol, states: Iterable[State], *, storage: int | None = None, info: bool = False
    ) -> tuple[Socket, ...]:
        """
        Sockets of TCP or UDP in one of these states, of both families.

        `storage` is the descriptor of a socket storage map whose values are wanted, too; `info` asks for the
        counters. Both are of TCP alone. Raises Unsupported if the kernel cannot list these sockets, DriverError
        if it refuses.
        """
        wanted = sum(1 << state for state in frozenset(states))
        attributes = b"" if storage is None else attribute(_REQ_STORAGES, attribute(_REQ_MAP, _INT.pack(storage)))
        found: list[Socket] = []
        for family in (socket.AF_INET, socket.AF_INET6):
            more = 1 << (_INFO - 1) if info else 0
            request = _REQUEST_V2.pack(family, protocol.number, more, wanted, bytes(_ID.size)) + attributes
            try:
                found += [_socket(protocol, body) for body in self._netlink.ask(_BY_FAMILY, DUMP, request)]
            except FileNotFoundError as error:
                raise Unsupported(
                    f"sock_diag of {protocol}", f"use a kernel with CONFIG_INET_{protocol}_DIAG"
                ) from error
            except OSError as error:
                raise _refusal(f"list {protocol} sockets", error) from error
        return tuple(found)

    def destroy(self, found: Socket) -> bool:
        """
        End a socket; False if it has gone, or has another peer now.

        A call that waits on it fails with ECONNABORTED; a UDP socket is unconnected from then on. Raises
        Unsupported if the kernel cannot end sockets, DriverError if it refuses.
        """
        return self._destroy(found.family, found.protocol, found.identity)

    def can_destroy(self) -> bool:
        """Whether the kernel can end sockets, probed with one that does not exist."""
        try:
            self._destroy(socket.AF_INET, Protocol.UDP, bytes(_ID.size))
        except Unsupported:
            return False
        return True

    def _destroy(self, family: int, protocol: Protocol, identity: bytes) -> bool:
        try:
            self._netlink.ask(_DESTROY, ACK, _REQUEST_V2.pack(family, protocol.number, 0, 0, identity))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return False
            if error.errno == errno.EOPNOTSUPP:
                raise Unsupported("SOCK_DESTROY", "use a kernel with CONFIG_INET_DIAG_DESTROY") from error
            raise _refusal(f"end a {protocol} socket", error) from error
        return True


def _socket(protocol: Protocol, body: bytes) -> Socket:
    family, state, _, _, identity, inode = _MESSAGE.unpack_from(body)
    local_port, peer_port, local, peer, _, low, high = _ID.unpack(identity)
    return Socket(
        protocol,
        State(state),
        End(_address(family, local), int.from_bytes(local_port, "big")),
        End(_address(family, peer), int.from_bytes(peer_port, "big")),
        high << 32 | low,
        inode,
        _nested(body[_MESSAGE.size :], _STORAGES, _STORAGE, _MAP_VALUE),
        _nested(body[_MESSAGE.size :], _INFO),
        family,
        identity,
    )


def _address(family: int, words: bytes) -> IPAddress:
    return ip_address(words[:4]) if family == socket.AF_INET else encode.address_back(words)


# The first attribute of a name in the first of another. One map is asked for at most, so there is one value.
def _nested(data: bytes, *names: int) -> bytes | None:
    for name in names:
        found = next((body for kind, body in attributes(data) if kind == name), None)
        if found is None:
            return None
        data = found
    return data


def _refusal(what: str, error: OSError) -> DriverError:
    return DriverError(f"cannot {what}: {error.strerror} (CAP_NET_ADMIN and CAP_BPF are needed: run as root)")
