"""Sockets that connected before there was a Service ask again, and no other socket loses anything."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.packets.connections.test_stale import DATAGRAM, STREAM, ended, is_connected, whom
from tests.packets.rig import V4, V6
from tests.packets.sockets import KINDS, Kind, Site
from twinway.model.net import Protocol
from twinway.model.node import BackendSet, BackendSetId, Frontend, Scope
from twinway_bpf.connections import sockdiag
from twinway_bpf.connections.preexisting_clients import destroy_preexisting
from twinway_bpf.connections.users import namespaces
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import CfgFlag
from twinway_testing.frames import TCP, UDP, End


@pytest.fixture(scope="module")
def routed_site(site_with_pod: Site) -> Site:
    """Services' addresses have a route, on which nobody answers."""
    for net in (V4, V6):
        route = ["route", "add", str(net.vip), "dev", "lo"]
        subprocess.run(["ip", *route], check=True)
        subprocess.run(["ip", "-n", site_with_pod.pod.name, *route], check=True)
    return site_with_pod


@pytest.fixture
def site(routed_site: Site) -> Iterator[Site]:
    """No Service."""
    routed_site.tables.clear()
    routed_site.learn_host()
    routed_site.tables.settings.flag(CfgFlag.PODS_AT_SOCKET, on=True)
    yield routed_site
    routed_site.close()


def key(end: End, protocol: Protocol) -> bytes:
    """Of tw_fe."""
    return encode.frontend_key(
        Frontend(end.address, end.port, protocol, Scope.INTERNAL, BackendSet(BackendSetId(1), ()))
    )


def serve(site: Site, kind: Kind) -> int:
    """A Service comes, of both protocols; how many sockets ended for it."""
    for protocol in (TCP, UDP):
        site.tables.service(kind.vip, kind.server, protocol=protocol)
    keys = [key(kind.vip, protocol) for protocol in (Protocol.TCP, Protocol.UDP)]
    return destroy_preexisting(namespaces(site.cgroup), [*keys, encode.address_key(kind.vip.address)])


@pytest.mark.parametrize("where", ["host", "pod"])
def test_datagram_socket_ends(site: Site, kind: Kind, where: str) -> None:
    """A connected one gets an error; connected again, it is given a backend."""
    client = site.open(kind, DATAGRAM) if where == "host" else site.in_pod(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    assert whom(site, client) == sockdiag.End(*kind.vip)
    assert serve(site, kind) == 1
    assert ended(client)
    client.connect(kind.spelled(kind.vip))
    assert whom(site, client) == sockdiag.End(*kind.server)
    assert is_connected(client)


def test_connecting_socket_ends(site: Site, kind: Kind) -> None:
    """One whose SYN nobody answers gets the error at once, and not after two minutes."""
    client = site.open(kind, STREAM)
    client.setblocking(False)
    client.connect_ex(kind.spelled(kind.vip))
    assert serve(site, kind) == 1
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 103  # ECONNABORTED


def test_bystanders_stay(site: Site, kind: Kind) -> None:
    """Other ports, other addresses, and who goes through the Service already."""
    clients = []
    for end in (End(kind.vip.address, 81), kind.server):
        client = site.open(kind, DATAGRAM)
        client.connect(kind.spelled(end))
        clients.append(client)
    for protocol in (TCP, UDP):
        site.tables.service(kind.vip, kind.server, protocol=protocol)
    served = site.open(kind, DATAGRAM)
    served.connect(kind.spelled(kind.vip))
    site.listen(kind.server)
    stream = site.open(kind, STREAM)
    stream.connect(kind.spelled(kind.vip))
    assert serve(site, kind) == 0
    assert all(is_connected(client) for client in (*clients, served, stream))


def test_nothing_new_asks_nobody(site: Site) -> None:
    """An address without a port is no place to connect to."""
    assert destroy_preexisting((), [encode.address_key(KINDS["v4"].vip.address)]) == 0
