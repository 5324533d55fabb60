"""
Records for pre-existing connections, written before programs look at a pod's packets.

The packet path takes the sender of a connection's first packet for its initiator. Of a connection that was
open before, that may be the wrong end, and then the wrong policy would be asked. The pod's sockets know it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from twinway.errors import DriverError
from twinway.model.net import IPAddress
from twinway.model.node import Attachment, ServiceState
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.connections.preexisting import CLOSED, ENDING, LISTENING, Noted, is_initiator, listeners
from twinway_bpf.connections.sockdiag import Socket, State
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import clock, encode, layout
from twinway_bpf.tables.layout import CtFlag


class _Record(NamedTuple):
    peer: IPAddress
    flags: CtFlag


def seed(
    table: Map, pods: Iterable[Attachment], initiators: Initiators, *, services: Iterable[ServiceState], rev: int
) -> int:
    """
    Write a record into `table` (tw_ct) for each connection of `pods` that has no entry; how many.

    `rev` is the policy revision in force; the records bear an earlier one, so that their next packet is judged.
    Connections to `services` are left out: the packet path translates them already, and no socket knows to
    which backend. Pods whose namespace has gone are left out and logged. Raises DriverError if the sockets
    of a pod cannot be listed, after it has written the records of all others. Records that are written here
    take no place in a pod's share.
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
    values = {
        key: bytes(layout.Ct(seen=seen, rev=before, flags=record.flags))
        for key, record in records.items()
        if record.peer not in served
    }
    inserted = table.insert(values)
    if failed:
        raise DriverError(f"open connections are not known: {'; '.join(failed)}")
    return inserted


# Keys and records of connections that pass the pod's device: from an address of its own to another one.
def _records(
    sockets: Sequence[Socket], own: frozenset[IPAddress], noted: Noted
) -> Iterator[tuple[bytes, _Record]]:
    listening = listeners(sockets)
    for found in sockets:
        local, peer = found.local, found.peer
        if found.state == LISTENING[found.protocol] or local.address not in own or peer.address in own:
            continue
        ends = (local, peer) if is_initiator(found, listening, noted) else (peer, local)
        source, destination = (encode.end(*each) for each in ends)
        key, first = encode.connection_key(source, destination, found.protocol)
        yield key, _Record(peer.address, _flags(found.state, first=first))


def _flags(state: State, *, first: bool) -> CtFlag:
    flags = CtFlag.REPLIED | CtFlag.ASSURED | (CtFlag.FIRST if first else CtFlag(0))
    if state in CLOSED:
        return flags | CtFlag.CLOSING | CtFlag.FIN_BOTH
    return flags | CtFlag.CLOSING if state in ENDING else flags
