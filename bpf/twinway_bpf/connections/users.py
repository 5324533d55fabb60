"""Who uses the node's network: the namespaces that its processes are in, and whom their sockets speak with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinway.model.net import IPAddress, Protocol
from twinway_bpf.connections.sockdiag import SockDiag, Socket, State
from twinway_bpf.connections.sockdiag_holders import may_not_look

_OWN = Path("/proc/thread-self/ns/net")
_CONNECTED = (State.ESTABLISHED, State.SYN_SENT, State.FIN_WAIT1, State.FIN_WAIT2, State.CLOSE_WAIT)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace, and those of the node's processes that are in it."""

    processes: tuple[int, ...]
    is_own: bool
    """Whether it is the one that this thread is in."""

    @property
    def path(self) -> str:
        """A path to it by one of its processes; empty for our own."""
        return "" if self.is_own or not self.processes else f"/proc/{self.processes[0]}/ns/net"

    def open(self) -> SockDiag | None:
        """Its sockets, for the caller to close; None if all its processes have gone by now."""
        if self.is_own:
            return SockDiag()
        for process in self.processes:
            with _may_go():
                return SockDiag.inside(f"/proc/{process}/ns/net")
        return None

    def sockets(self, wanted: Mapping[Protocol, Iterable[State]]) -> list[Socket]:
        """Its sockets of these protocols in these states; none if all its processes have gone by now."""
        diag = self.open()
        if diag is None:
            return []
        with diag:
            return [found for protocol, states in wanted.items() for found in diag.sockets(protocol, states)]


def namespaces(cgroup: Path) -> tuple[Namespace, ...]:
    """
    The network namespaces of this node's processes: our own first, in any case, and each other one once.

    A process is the node's when it is in a cgroup at or below `cgroup`. Raises Unsupported where we
    may not look into processes.
    """
    own = _OWN.stat().st_ino
    members: dict[int, list[int]] = {own: []}
    for process in _processes(cgroup):
        with _may_go():
            members.setdefault(Path(f"/proc/{process}/ns/net").stat().st_ino, []).append(process)
    return tuple(Namespace(tuple(found), inode == own) for inode, found in members.items())


def has_process(cgroup: Path) -> bool:
    """Whether any process is in a cgroup at or below `cgroup`."""
    return next(_processes(cgroup), None) is not None


def peers_of_pods(cgroup: Path) -> Iterator[IPAddress]:
    """Peers of all connected TCP and UDP sockets in other network namespaces of this node's processes."""
    for namespace in namespaces(cgroup)[1:]:
        found = namespace.sockets({Protocol.TCP: _CONNECTED, Protocol.UDP: _CONNECTED})
        yield from (each.peer.address for each in found)


@contextlib.contextmanager
def _may_go() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise may_not_look() from error
    except (FileNotFoundError, ProcessLookupError):
        pass  # a process went while we looked


def _processes(cgroup: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(cgroup):
        # a cgroup may go while we look
        with contextlib.suppress(OSError):
            yield from (int(word) for word in Path(folder, "cgroup.procs").read_text().split())
