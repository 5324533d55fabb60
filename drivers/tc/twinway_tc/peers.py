"""Whom the sockets of pods are connected to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twinway.model.net import IPAddress, Protocol
from twinway_bpf.connections.sockdiag import State
from twinway_bpf.connections.users import namespaces

_CONNECTED = (State.ESTABLISHED, State.SYN_SENT, State.FIN_WAIT1, State.FIN_WAIT2, State.CLOSE_WAIT)


def peers_of_pods(cgroup: Path) -> Iterator[IPAddress]:
    """Peers of all connected TCP and UDP sockets in other network namespaces of this node's processes."""
    for namespace in namespaces(cgroup)[1:]:
        found = namespace.sockets({Protocol.TCP: _CONNECTED, Protocol.UDP: _CONNECTED})
        yield from (each.peer.address for each in found)
