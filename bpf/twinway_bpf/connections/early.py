"""
Sockets that connected to an address before it was a Service's: ended, so that their programs ask anew.

At sockets an address is replaced when it is connected to, and only then. A datagram socket that
came earlier would speak with nobody for as long as it lives, a TCP socket would repeat its SYN to
nobody for two minutes. On the packet path either finds the Service with its next packet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from twinway.errors import Unsupported
from twinway.model.net import Protocol
from twinway_bpf.connections.sockdiag import End, State
from twinway_bpf.connections.stale import Suspect, end_all, tell
from twinway_bpf.connections.users import Namespace
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import FeKey

_WAITING = {Protocol.UDP: (State.ESTABLISHED,), Protocol.TCP: (State.SYN_SENT,)}
"""How a socket looks that has asked, and that nobody has answered on TCP."""


def destroy_early(places: Iterable[Namespace], served: Collection[bytes]) -> int:
    """
    End sockets in `places` whose peer is one of `served`, keys of tw_fe that were not there before; how many.

    Where the kernel cannot do it, that is told once.
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
        tell(str(error))
        return 0


def _end(key: FeKey) -> End:
    return End(encode.address_back(bytes(key.addr)), key.port)
