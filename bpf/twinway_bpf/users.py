"""Who uses the node's network: the namespaces that its processes are in, and whom their sockets speak with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from twinway.model.net import IPAddress, Protocol
from twinway_bpf.sockdiag import SockDiag, State

_CONNECTED = (State.ESTABLISHED, State.SYN_SENT, State.FIN_WAIT1, State.FIN_WAIT2, State.CLOSE_WAIT)


def namespaces(cgroup: Path) -> Iterator[SockDiag]:
    """
    The sockets of every other network namespace of this node's processes, each namespace once.

    A process is the node's when it is in a cgroup at or below `cgroup`. What is given is closed
    when the next is asked for.
    """
    seen = {Path("/proc/thread-self/ns/net").stat().st_ino}
    for process in _processes(cgroup):
        diag = _unless_seen(Path(f"/proc/{process}/ns/net"), seen)
        if diag is not None:
            with diag:
                yield diag


def peers_of_pods(cgroup: Path) -> Iterator[IPAddress]:
    """Peers of all connected TCP and UDP sockets in other network namespaces of this node's processes."""
    for diag in namespaces(cgroup):
        for protocol in (Protocol.TCP, Protocol.UDP):
            yield from (found.peer.address for found in diag.sockets(protocol, _CONNECTED))


def _processes(cgroup: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(cgroup):
        # a cgroup may go while we look
        with contextlib.suppress(OSError):
            yield from (int(word) for word in Path(folder, "cgroup.procs").read_text().split())


def _unless_seen(namespace: Path, seen: set[int]) -> SockDiag | None:
    # a process may go while we look
    with contextlib.suppress(OSError):
        inode = namespace.stat().st_ino
        if inode not in seen:
            diag = SockDiag.inside(str(namespace))
            seen.add(inode)
            return diag
    return None
