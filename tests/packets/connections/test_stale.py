"""Connected UDP sockets lose a backend that is gone, and no other socket loses anything."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterator

import pytest

from tests.packets.processes import process
from tests.packets.sockets import Kind, Site, disconnect, is_ready, plain
from twinway.model.net import Protocol
from twinway_bpf.connections import sockdiag
from twinway_bpf.connections.stale import destroy_stale, udp_backends
from twinway_bpf.tables.layout import CfgFlag
from twinway_testing.frames import TCP, UDP, End

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture
def site(site_with_pod: Site, kind: Kind) -> Iterator[Site]:
    """Only the Service, for TCP and UDP, of the host's sockets and the pod's."""
    site_with_pod.tables.clear()
    site_with_pod.learn_host()
    site_with_pod.tables.settings.flag(CfgFlag.PODS_AT_SOCKET, on=True)
    for protocol in (TCP, UDP):
        site_with_pod.tables.service(kind.vip, kind.server, protocol=protocol)
    yield site_with_pod
    site_with_pod.close()


def lose(site: Site, kind: Kind) -> int:
    """The Service is given another backend than the server, which goes; how many sockets ended with it."""
    serving = udp_backends(site.tables.maps["be"].entries())
    gone = {identity: end for identity, end in serving.items() if end == sockdiag.End(*kind.server)}
    assert len(gone) == 1
    site.tables.service(kind.vip, kind.others[0], protocol=UDP)
    site.tables.forget_backend(kind.server, UDP)
    return destroy_stale(site.cgroup, site.tables.maps["sk"], gone)


def whom(site: Site, client: socket.socket) -> sockdiag.End:
    """Whom it really speaks with."""
    (found,) = (
        found
        for path in ("/proc/thread-self/ns/net", str(site.pod))
        for found in listed(path)
        if found.inode == os.fstat(client.fileno()).st_ino
    )
    return found.peer


def listed(namespace: str) -> tuple[sockdiag.Socket, ...]:
    """The connected sockets of a namespace."""
    with sockdiag.SockDiag.inside(namespace) as diag:
        return diag.sockets(Protocol.UDP, [sockdiag.State.ESTABLISHED])


def is_connected(client: socket.socket) -> bool:
    """Whether it still speaks with somebody, and nothing has happened to it."""
    return bool(client.getpeername()) and not is_ready(client, select.POLLIN)


def ended(client: socket.socket) -> bool:
    """Whether its program got an error."""
    with pytest.raises(ConnectionAbortedError):
        client.recv(1)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        client.getpeername()
    return True


@pytest.mark.parametrize("where", ["host", "pod"])
def test_ends_and_is_given_another(site: Site, kind: Kind, where: str) -> None:
    """A socket that was given the backend ends; connected again, it is given the one that came instead."""
    client = site.open(kind, DATAGRAM) if where == "host" else site.in_pod(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    assert lose(site, kind) == 1
    assert ended(client)
    client.connect(kind.spelled(kind.vip))
    assert whom(site, client) == sockdiag.End(*kind.others[0])
    assert is_connected(client)


def test_ends_where_a_pods_process_holds_it(site: Site, kind: Kind) -> None:
    """It makes no difference that the pod's own process has it, too."""
    client = site.in_pod(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    with process(site.cgroup, site.pod, client.fileno()):
        assert lose(site, kind) == 1
    assert ended(client)


def test_all_of_one_port_end(site: Site, kind: Kind) -> None:
    """Sockets that share their port and their peer end, each of them."""
    clients = [site.open(kind, DATAGRAM) for _ in range(3)]
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        client.bind((kind.spelled(kind.server)[0], 4000))
    for client in clients:
        client.connect(kind.spelled(kind.vip))
    assert lose(site, kind) == 3
    assert all(ended(client) for client in clients)


def through_service(site: Site, kind: Kind) -> socket.socket:
    """TCP, which is left."""
    site.listen(kind.server)
    client = site.open(kind, STREAM)
    client.connect(kind.spelled(kind.vip))
    return client


def by_its_own_name(site: Site, kind: Kind) -> socket.socket:
    """The program asked for the backend itself."""
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(kind.server))
    return client


def by_its_own_name_at_last(site: Site, kind: Kind) -> socket.socket:
    """The program asked for the Service first, and for its backend then."""
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    client.connect(kind.spelled(kind.server))
    return client


def by_another_service(site: Site, kind: Kind) -> socket.socket:
    """Another Service gave it a backend that serves."""
    vip = End(kind.vip.address, 81)
    site.tables.service(vip, kind.others[1], protocol=UDP)
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(vip))
    return client


BYSTANDERS = (through_service, by_its_own_name, by_its_own_name_at_last, by_another_service)


@pytest.mark.parametrize("make", BYSTANDERS, ids=lambda make: make.__name__)
def test_bystander_stays(site: Site, kind: Kind, make: Callable[[Site, Kind], socket.socket]) -> None:
    """What is connected otherwise is left alone, beside one that ends."""
    bystander, victim = make(site, kind), site.open(kind, DATAGRAM)
    victim.connect(kind.spelled(kind.vip))
    assert lose(site, kind) == 1
    assert ended(victim)
    assert is_connected(bystander)


@pytest.mark.parametrize("connected_once", [False, True], ids=["never connected", "disconnected"])
def test_unconnected_socket_stays(site: Site, kind: Kind, *, connected_once: bool) -> None:
    """One that only sends to the Service keeps its port, and its next datagram reaches the other backend."""
    server = site.receive(kind.others[0])
    client = site.open(kind, DATAGRAM)
    if connected_once:
        client.connect(kind.spelled(kind.vip))
        disconnect(client)
    client.sendto(b"hello", kind.spelled(kind.vip))
    port = client.getsockname()[1]
    assert lose(site, kind) == 0
    client.sendto(b"hello", kind.spelled(kind.vip))
    assert plain(server.recvfrom(100)[1])[1] == client.getsockname()[1] == port


def test_nothing_gone_ends_nothing(site: Site, kind: Kind) -> None:
    """While no backend goes, and when another one of the same address and port does, a socket goes on."""
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    ((identity, end),) = udp_backends(site.tables.maps["be"].entries()).items()
    for gone in ({}, {identity + 1: end}):
        assert destroy_stale(site.cgroup, site.tables.maps["sk"], gone) == 0
    assert is_connected(client)


def test_backends_of_udp(site: Site, kind: Kind) -> None:
    """Of the table of backends, TCP's are left out."""
    site.tables.maps["be"].remove(list(site.tables.maps["be"].entries()))
    site.tables.service(kind.vip, *kind.others, protocol=UDP)
    site.tables.service(kind.vip, kind.server, protocol=TCP)
    assert sorted(udp_backends(site.tables.maps["be"].entries()).values()) == sorted(map(tuple, kind.others))
