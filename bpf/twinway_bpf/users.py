"""Sockets that still need the packet path: those whose peer, as they know it, is a Service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from twinway.model.net import IPAddress
from twinway_bpf import netns

_FAMILIES = (2, 10)
_TCP, _UDP = 6, 17
_CONNECTED = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8  # ESTABLISHED SYN_SENT FIN_WAIT1 FIN_WAIT2 CLOSE_WAIT


def peers_of_pods(cgroup: Path) -> Iterator[IPAddress]:
    """
    Peers of all connected TCP and UDP sockets in other network namespaces of this node's processes.

    A process is the node's when it is in a cgroup at or below `cgroup`.
    """
    own = Path("/proc/thread-self/ns/net").stat().st_ino
    seen = {own}
    for process in _processes(cgroup):
        path = Path(f"/proc/{process}/ns/net")
        with contextlib.suppress(OSError):
            inode = path.stat().st_ino
            if inode in seen:
                continue
            seen.add(inode)
            with netns.inside(str(path)):
                yield from list(_peers())


def _processes(cgroup: Path) -> Iterator[int]:
    for file in sorted(cgroup.rglob("cgroup.procs")):
        # a cgroup may go while we look
        with contextlib.suppress(OSError):
            yield from (int(word) for word in file.read_text().split())


def _peers() -> Iterator[IPAddress]:
    from pyroute2 import DiagSocket

    with DiagSocket() as diag:
        diag.bind()
        for family in _FAMILIES:
            for protocol in (_TCP, _UDP):
                for row in diag.get_sock_stats(family=family, states=_CONNECTED, protocol=protocol):
                    yield _plain(ip_address(row["idiag_dst"]))


def _plain(address: IPAddress) -> IPAddress:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
