"""
Connections from before our time: what a pod's sockets have open, written down before its packets are looked at.

The packet path takes the sender of a connection's first packet for who opened it. Of a connection
that it did not see opening that may be the wrong end, and the wrong policy would be asked; the
pod's sockets know better.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from twinway.errors import DriverError
from twinway.model.net import IPAddress, Protocol
from twinway.model.node import Attachment, ServiceState
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.connections.preexisting import CLOSED, ENDING, LISTENING, Noted, is_initiator, listeners
from twinway_bpf.connections.sockdiag import End, Socket, State
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import clock, encode
from twinway_bpf.tables.layout import CtFlag

_ORDER = struct.Struct("=4IH")
_KEY = struct.Struct("=20s20sB3x")
_VALUE = struct.Struct("=20xIQIH10x")


class _Record(NamedTuple):
    peer: IPAddress
    flags: CtFlag


def seed(
    table: Map, pods: Iterable[Attachment], initiators: Initiators, *, services: Iterable[ServiceState], rev: int
) -> int:
    """
    Write a record into `table` (tw_ct) for each connection of `pods` that has no entry; how many.

    Their next packet is judged: `rev` is the policy revision in force. Who believes to speak with one
    of `services` is translated packet by packet, and what to, no socket knows: it is left out. A
    namespace that has gone is told of, and no error. Raises DriverError where a pod's sockets cannot be
    listed, when those of all others are written. What is written takes no place in a
    pod's share.
    """
    records: dict[bytes, _Record] = {}
    noted = initiators.noted()
    failed: list[str] = []
    for pod in pods:
        try:
            sockets = initiators.sockets_of(pod, LISTENING)
        except DriverError as error:
            failed.append(str(error))
            continue
        records.update(_records(sockets, frozenset(pod.addresses), noted))
    served = {frontend.address for service in services for frontend in service.frontends}
    seen, before = clock.now(), (rev - 1) & 0xFFFFFFFF
    values = {key: _VALUE.pack(seen, 0, before, r.flags) for key, r in records.items() if r.peer not in served}
    inserted = table.insert(values)
    if failed:
        raise DriverError(f"open connections are not known: {'; '.join(failed)}")
    return inserted


def connection_key(source: End, destination: End, protocol: Protocol) -> tuple[bytes, bool]:
    """
    Key of tw_ct for two ends, and whether the first of them is end 0 of it.

    As ct_key() makes it: the ends in order of their words, as this machine loads them.
    """
    ends = _end(source), _end(destination)
    first = _ORDER.unpack_from(ends[0]) <= _ORDER.unpack_from(ends[1])
    return _KEY.pack(*(ends if first else reversed(ends)), protocol.number), first


# Keys and records of what passes the pod's device: from an address of its own to somebody else.
def _records(
    sockets: Sequence[Socket], own: frozenset[IPAddress], noted: Noted
) -> Iterator[tuple[bytes, _Record]]:
    listening = listeners(sockets)
    for found in sockets:
        local, peer = found.local, found.peer
        if found.state == LISTENING[found.protocol] or local.address not in own or peer.address in own:
            continue
        ends = (local, peer) if is_initiator(found, listening, noted) else (peer, local)
        key, first = connection_key(*ends, found.protocol)
        yield key, _Record(peer.address, _flags(found.state, first=first))


def _flags(state: State, *, first: bool) -> CtFlag:
    flags = CtFlag.REPLIED | CtFlag.ASSURED | (CtFlag.FIRST if first else CtFlag(0))
    if state in CLOSED:
        return flags | CtFlag.CLOSING | CtFlag.FIN_BOTH
    return flags | CtFlag.CLOSING if state in ENDING else flags


def _end(end: End) -> bytes:
    return encode.address(end.address) + end.port.to_bytes(2, "big") + bytes(2)
