"""
Ends sockets that connected to an address before it was a Service's, so that their programs connect again.

A socket is given a backend when it connects, and only then. A UDP socket that connected before the Service
came would reach nobody for as long as it lives, and a TCP socket would repeat its SYN for two minutes. On the
packet path either finds the Service with its next packet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from twinway.errors import Unsupported
from twinway.model.net import Protocol
from twinway_bpf.connections.sockdiag import End, State
from twinway_bpf.connections.stale import Suspect, end_all, warn
from twinway_bpf.connections.users import Namespace
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import FeKey

_WAITING = {Protocol.UDP: (State.ESTABLISHED,), Protocol.TCP: (State.SYN_SENT,)}
"""States of a socket that has connected and, if it is TCP, was not answered."""


def destroy_preexisting(places: Iterable[Namespace], served: Collection[bytes]) -> int:
    """
    End sockets in `places` whose peer is one of `served`, new keys of tw_fe; how many were ended.

    If the kernel cannot end sockets, it logs that once.
    """
    asked = {(key.proto, _end(key)) for key in map(FeKey.from_buffer_copy, served)}
    wanted = {
        each: states for each, states in _WAITING.items() if any(each.number == number for number, _ in asked)
    }
    if not wanted:
        return 0
    try:
        waiting = (Suspect(place, found) for place in places for found in place.sockets(wanted))
        return end_all([each for each in waiting if (each.socket.protocol.number, each.socket.peer) in asked])
    except Unsupported as error:
        warn(str(error))
        return 0


def _end(key: FeKey) -> End:
    return End(encode.address_back(bytes(key.addr)), key.port)
