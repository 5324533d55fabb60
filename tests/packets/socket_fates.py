"""
What becomes of what sockets send, under the real programs at their cgroup.

Pods are addresses of one namespace's loopback: a packet meets its sender's hook and its receiver's.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from tests.packets.sockets import LOOPBACK, PODS, SECONDS, Kind, Site, is_ready
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.attach.tchook import Side
from twinway_bpf.load import programs
from twinway_bpf.tables.encode import Place
from twinway_bpf.tables.layout import CfgFlag, Reason
from twinway_testing.frames import TCP, UDP, End

ROOM = Path("/proc/sys/net/core/optmem_max")
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
CLIENTS_SET, SERVERS_SET = 7, 9
DENIED = {INGRESS: Reason.DROP_POLICY_INGRESS, EGRESS: Reason.DROP_POLICY_EGRESS}
Fate = Reason | None
"""Why something was dropped; None: it arrived."""

GUARDS = {
    "idle": ((Side.EGRESS, programs.GUARD_FROM), (Side.INGRESS, programs.GUARD_TO)),
    "idle, inwards": ((Side.INGRESS, programs.GUARD_TO),),
    "idle, to itself": ((Side.EGRESS, programs.GUARD_SELF),),
}
"""What is at the loopback, as it would be at the pods' devices, or at a pod's own loopback."""


def _each(*cases: tuple[str, socket.SocketKind]) -> pytest.MarkDecorator:
    ids = [f"{'tcp' if what == STREAM else 'udp'} {how}" for how, what in cases]
    return pytest.mark.parametrize(("site", "what"), cases, indirect=["site"], ids=ids)


each_type = _each(("watched", STREAM), ("idle", STREAM), ("idle", DATAGRAM))
each_type_from_the_node = _each(("watched", STREAM), ("idle, inwards", STREAM), ("idle, inwards", DATAGRAM))
each_type_to_itself = _each(
    *((how, what) for how in ("watched", "idle, to itself") for what in (STREAM, DATAGRAM))
)
idle = pytest.mark.parametrize("site", ["idle"], indirect=True, ids=[""])
each_side = pytest.mark.parametrize("side", list(Direction), ids=["server's ingress", "client's egress"])


@contextmanager
def prepared(whole_site: Site, guarded_by: str) -> Iterator[Site]:
    """All addresses are pods', and under no policy yet. Sockets are watched, or idle behind one of `GUARDS`."""
    whole_site.tables.clear()
    whole_site.learn_host()
    whole_site.tables.settings.flag(CfgFlag.POLICY_AT_SOCKET, on=True)
    for address in PODS:
        whole_site.tables.pod(address, Place(ifindex=LOOPBACK))
    guards = GUARDS.get(guarded_by)
    with whole_site.guarded(*guards) if guards else nullcontext():
        yield whole_site
        whole_site.close()


def pod(site: Site, end: End, policy: int, *open_ways: Direction) -> None:
    """A pod under a set that allows these directions and no other."""
    site.tables.pod(end.address, Place(ifindex=LOOPBACK), policy=policy)
    for direction in Direction:
        for protocol in (TCP, UDP):
            entry = verdict(direction, allow=direction in open_ways, rule=70 + direction, protocol=protocol)
            site.tables.policy(policy, entry)


@contextlib.contextmanager
def memory(size: int) -> Iterator[None]:
    """Sockets of this namespace have so many bytes for options, filters and what programs note on them."""
    if not ROOM.exists():
        pytest.skip("this kernel has one net.core.optmem_max for all namespaces (6.8)")
    before = ROOM.read_text()
    ROOM.write_text(str(size))
    try:
        yield
    finally:
        ROOM.write_text(before)


def fate(site: Site, before: dict[Reason, int], is_done: Callable[[], bool]) -> Fate:
    """Wait until something is done, or something was dropped since `before`."""
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        if is_done():
            return None
        for reason, count in site.tables.counts().items():
            if reason >= Reason.DROP_SHORT and count != before[reason]:
                return reason
    pytest.fail("it neither arrived nor was dropped")


def connecting(site: Site, client: socket.socket, to: tuple[str, int]) -> Fate:
    """What becomes of a TCP connection."""
    before = site.tables.counts()
    client.setblocking(False)
    client.connect_ex(to)

    def is_connected() -> bool:
        return is_ready(client, select.POLLOUT, 0.01) and not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    return fate(site, before, is_connected)


def sending(site: Site, say: Callable[[bytes], object], listener: socket.socket) -> Fate:
    """What becomes of some bytes that `say` sends to a listener."""
    data, heard = os.urandom(16), b""
    listener.setblocking(False)

    def is_heard() -> bool:
        nonlocal heard
        with suppress(BlockingIOError):
            heard = (heard + listener.recv(100))[-16:]
        return heard == data

    before = site.tables.counts()
    with suppress(PermissionError):  # how the sender of a datagram learns that its own hook dropped it
        say(data)
    return fate(site, before, is_heard)


def beginning(site: Site, kind: Kind, what: socket.SocketKind, to: End | None = None) -> Fate:
    """What becomes of the first packet from a new socket of the client to the server."""
    target = to or kind.server
    client = site.at(kind, what, kind.client)
    if what == STREAM:
        site.listen(target)
        return connecting(site, client, kind.spelled(target))
    server = site.receive(target)
    return sending(site, lambda data: client.sendto(data, kind.spelled(target)), server)
