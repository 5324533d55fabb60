"""
Which end of a pre-existing connection is its initiator.

The kernel does not keep that, but its counters show it. A socket that connected counts its own SYN among the
bytes that its peer has acknowledged. A socket that was accepted does not, because another socket sent the
SYN-ACK. So with nothing in flight, the two differ by one against the bytes that they have sent.
Source: tcp_snd_una_update() from tcp_rcv_synsent_state_process(), tcp_create_openreq_child().
"""

from __future__ import annotations

import errno
import logging
import struct
import sys
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from twinway.errors import DriverError
from twinway.model.net import IPAddress, Protocol
from twinway.model.node import Attachment
from twinway_bpf.connections.sockdiag import SockDiag, Socket, State

logger = logging.getLogger(__name__)

ENDING = (State.FIN_WAIT1, State.FIN_WAIT2, State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING)
CLOSED = (State.LAST_ACK, State.CLOSING)
"""Of those, both ends have sent a FIN."""
LISTENING = {Protocol.TCP: State.LISTENING, Protocol.UDP: State.CLOSED}
"""The state of a socket that receives from any peer."""
_OPEN = (State.ESTABLISHED, State.SYN_SENT, State.SYN_RECEIVED)
_ANYWHERE = (IPv4Address(0), IPv6Address(0))

_GONE = frozenset({errno.ENOENT, errno.EINVAL})
"""What a namespace's path says without it: EINVAL where a file is left that it was mounted on."""

Place = tuple[Protocol, IPAddress, int]
"""A protocol, an address and a port."""

# struct tcp_info: state, unacked, bytes_acked, bytes_sent and bytes_retrans (4.19), by offset.
_COUNTS = struct.Struct("=B23xI92xQ72xQQ")


def sockets_of(pod: Attachment, protocols: Iterable[Protocol], *, given: int) -> list[Socket]:
    """
    A pod's sockets that have a peer or receive from any; none, and a warning, if its namespace has gone.

    `given` is the descriptor of tw_sk. Raises DriverError if they cannot be listed, which does not mean that
    there are none.
    """
    wanted = {protocol: (*_OPEN, *ENDING, LISTENING[protocol]) for protocol in protocols}
    try:
        with SockDiag.inside(pod.netns) as diag:
            return [s for each in wanted for s in diag.sockets(each, wanted[each], storage=given, info=True)]
    except DriverError as error:
        raise DriverError(f"{pod.pod}: {error}") from error
    except OSError as error:
        if error.errno not in _GONE:
            raise DriverError(f"{pod.pod}: namespace {pod.netns}: {error.strerror}") from error
        logger.warning("a pod's namespace has gone pod=%s reason=%s", pod.pod, error)
        return []


def listeners(sockets: Sequence[Socket]) -> frozenset[Place]:
    """Where a socket of these receives from any peer."""
    return frozenset((s.protocol, *s.local) for s in sockets if s.state == LISTENING[s.protocol])


@dataclass(frozen=True, slots=True)
class Noted:
    """Which TCP sockets connected, as far as that was noted: on the sockets, and here."""

    initiators: Container[bytes] = ()
    """Keys of tw_initiator."""
    complete: bool = False
    """Whether every other socket was accepted."""

    def is_initiator(self, found: Socket) -> bool | None:
        """Whether a socket connected; None: it was not noted."""
        if found.storage is not None or initiator_key(found) in self.initiators:
            return True
        return False if self.complete and found.protocol == Protocol.TCP else None


NOTHING_NOTED = Noted()


def initiator_key(found: Socket) -> bytes:
    """Key of tw_initiator."""
    return found.cookie.to_bytes(8, sys.byteorder)


def is_initiator(found: Socket, listening: Container[Place], noted: Noted = NOTHING_NOTED) -> bool:
    """Whether a socket connected: as `noted`, else by the kernel's counters, else by who listens now."""
    for known in (noted.is_initiator(found), _counted(found)):
        if known is not None:
            return known
    return _guessed(found, listening)


# None: something is in flight, or this kernel counts in a way that is not known here.
def _counted(found: Socket) -> bool | None:
    if found.state in (State.SYN_SENT, State.SYN_RECEIVED):
        return found.state == State.SYN_SENT
    if found.info is None or len(found.info) < _COUNTS.size:
        return None
    state, unacked, acked, sent, repeated = _COUNTS.unpack_from(found.info)
    if unacked:
        return None
    ended = state == State.FIN_WAIT2  # its FIN was acknowledged, too
    return {1: True, 0: False}.get(acked - ended - (sent - repeated))


def _guessed(found: Socket, listening: Container[Place]) -> bool:
    places = (found.local.address, *_ANYWHERE)
    return not any((found.protocol, place, found.local.port) in listening for place in places)
