"""The network namespaces that the node's processes are in, and the sockets in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from twinway.model.net import Protocol
from twinway_bpf.connections.sockdiag import SockDiag, Socket, State
from twinway_bpf.connections.sockdiag_holders import may_not_look

_OWN = Path("/proc/thread-self/ns/net")


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
        """A socket-diag handle in it, for the caller to close; None if all its processes have gone."""
        if self.is_own:
            return SockDiag()
        for process in self.processes:
            with _may_go():
                return SockDiag.inside(f"/proc/{process}/ns/net")
        return None

    def sockets(self, wanted: Mapping[Protocol, Iterable[State]]) -> list[Socket]:
        """Its sockets of these protocols in these states; none if all its processes have gone."""
        diag = self.open()
        if diag is None:
            return []
        with diag:
            return [found for protocol, states in wanted.items() for found in diag.sockets(protocol, states)]


HOST = Namespace((), is_own=True)
"""The one that the agent is in."""


def namespaces(cgroup: Path) -> tuple[Namespace, ...]:
    """
    The network namespaces of this node's processes: our own first, in any case, and each other one once.

    A process is the node's when it is in a cgroup at or below `cgroup`. Raises Unsupported if the agent may not
    look into processes.
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


@contextlib.contextmanager
def _may_go() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise may_not_look() from error
    except (FileNotFoundError, ProcessLookupError):
        pass  # the process has gone


def _processes(cgroup: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(cgroup):
        # a cgroup may be removed meanwhile
        with contextlib.suppress(OSError):
            yield from (int(word) for word in Path(folder, "cgroup.procs").read_text().split())
