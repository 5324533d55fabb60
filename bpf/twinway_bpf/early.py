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
from twinway_bpf import encode
from twinway_bpf.layout import FeKey
from twinway_bpf.sockdiag import End, State
from twinway_bpf.stale import Suspect, end_all, tell
from twinway_bpf.users import Namespace

_WAITING = {Protocol.UDP: State.ESTABLISHED, Protocol.TCP: State.SYN_SENT}
"""How a socket looks that has asked, and that nobody has answered on TCP."""


def destroy_early(places: Iterable[Namespace], served: Collection[bytes]) -> int:
    """
    End sockets in `places` whose peer is one of `served`, keys of tw_fe that were not there before; how many.

    Where the kernel cannot do it, that is told once.
    """
    ends = {(protocol, end) for key in served if (protocol := _protocol(key)) for end in (_end(key),)}
    if not ends:
        return 0
    try:
        return end_all([found for place in places for found in _connected(place, ends)])
    except Unsupported as error:
        tell(str(error))
        return 0


def _connected(place: Namespace, ends: Collection[tuple[Protocol, End]]) -> list[Suspect]:
    diag = place.open()
    if diag is None:
        return []
    with diag:
        return [
            Suspect(place, found)
            for protocol in {protocol for protocol, _ in ends}
            for found in diag.sockets(protocol, (_WAITING[protocol],))
            if (protocol, found.peer) in ends
        ]


# None: the key says that some Service lives at the address, or is of a protocol that sockets do not serve.
def _protocol(key: bytes) -> Protocol | None:
    number = FeKey.from_buffer_copy(key).proto
    return next((protocol for protocol in _WAITING if protocol.number == number), None)


def _end(key: bytes) -> End:
    raw = FeKey.from_buffer_copy(key)
    return End(encode.address_back(bytes(raw.addr)), raw.port)
