"""
Ends UDP sockets that were given a backend which no longer serves, so that their programs connect again.

It ends only a socket that is connected to the backend that a Service gave it. An unconnected socket chooses a
backend again with its next datagram, and a socket whose program named the address itself keeps it. TCP is
left alone: its connections end by themselves, and may be finishing.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from twinway.errors import Unsupported
from twinway.model.net import Protocol
from twinway_bpf.connections.sockdiag import End, Socket, State
from twinway_bpf.connections.sockdiag_holders import descriptors
from twinway_bpf.connections.users import Namespace, namespaces
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Be, Sk

logger = logging.getLogger(__name__)

_DESCRIPTOR = struct.Struct("=i")


class Suspect(NamedTuple):
    """A socket that may have to end, and where it is."""

    place: Namespace
    socket: Socket


def destroy_stale(cgroup_root: Path, given: Map, gone: Mapping[int, End]) -> int:
    """
    End the sockets that were given one of the backends in `gone`, which is id → address and port; how many.

    In our own network namespace and those of the processes at or below `cgroup_root`. `given` is
    tw_sk. If the kernel cannot end sockets, it logs that once.
    """
    if not gone:
        return 0
    try:
        places = namespaces(cgroup_root)
        suspects = dict(_connected_to(frozenset(gone.values()), places))
        processes = (process for place in places for process in place.processes)
        stale = [
            suspects[inode]
            for inode, descriptor in descriptors(processes, suspects)
            if _was_given(given.lookup(_DESCRIPTOR.pack(descriptor)), suspects[inode].socket.peer, gone)
        ]
        return end_all(stale)
    except Unsupported as error:
        warn(str(error))
        return 0


def udp_backends(entries: Mapping[bytes, bytes]) -> dict[int, End]:
    """Of entries of tw_be, those of UDP: id → address and port."""
    backends = ((encode.backend_id(key), Be.from_buffer_copy(value)) for key, value in entries.items())
    return {
        identity: End(encode.address_back(bytes(backend.addr)), backend.port)
        for identity, backend in backends
        if backend.proto == Protocol.UDP.number
    }


# By inode; one that no process holds any more has none, and is over already.
def _connected_to(ends: frozenset[End], places: Iterable[Namespace]) -> Iterator[tuple[int, Suspect]]:
    for place in places:
        for found in place.sockets({Protocol.UDP: (State.ESTABLISHED,)}):
            if found.peer in ends and found.inode:
                yield found.inode, Suspect(place, found)


# What a socket was given is a backend that is gone, and still its peer.
def _was_given(value: bytes | None, peer: End, gone: Mapping[int, End]) -> bool:
    if value is None:
        return False
    given = Sk.from_buffer_copy(value)
    to = End(encode.address_back(bytes(given.to.addr)), given.to.port)
    return to == peer and gone.get(given.backend) == to


def end_all(suspects: Sequence[Suspect]) -> int:
    """
    End sockets; how many. Raises Unsupported where the kernel cannot.

    Those that share a port (SO_REUSEPORT) may have one and the same peer, and then the kernel finds
    one of them alone: so they are gone through again for as long as that ends one.
    """
    left = list(suspects)
    while True:
        staying = [suspect for suspect in left if not _ended(suspect)]
        if not staying or len(staying) == len(left):
            return len(suspects) - len(staying)
        left = staying


def _ended(suspect: Suspect) -> bool:
    diag = suspect.place.open()
    if diag is None:
        return False
    with diag:
        return diag.destroy(suspect.socket)


@cache  # once is enough: it will not change
def warn(reason: str) -> None:
    """Log that sockets could not be ended."""
    logger.warning("cannot end sockets that should connect again reason=%s", reason)
