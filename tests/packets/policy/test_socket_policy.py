"""Policy at sockets: what a socket may begin, and hear of."""

from __future__ import annotations

import socket

from tests.packets.socket_fates import (
    CLIENTS_SET,
    DATAGRAM,
    DENIED,
    EGRESS,
    INGRESS,
    SERVERS_SET,
    STREAM,
    beginning,
    connecting,
    each_side,
    each_type,
    each_type_from_the_node,
    each_type_to_itself,
    idle,
    pod,
    sending,
)
from tests.packets.sockets import Kind, Site
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.tables.encode import Place
from twinway_testing.frames import TCP, UDP, End


@each_type
@each_side
def test_beginning_is_judged(site: Site, kind: Kind, what: socket.SocketKind, side: Direction) -> None:
    """A first packet passes if the client's egress and the server's ingress let it."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    assert beginning(site, kind, what) is None
    site.close()
    pod(site, kind.client, CLIENTS_SET, *([EGRESS] if side == INGRESS else []))
    pod(site, kind.server, SERVERS_SET, *([INGRESS] if side == EGRESS else []))
    assert beginning(site, kind, what) == DENIED[side]


@each_type
@each_side
def test_denial_is_counted_for_its_rule(site: Site, kind: Kind, what: socket.SocketKind, side: Direction) -> None:
    """Whom a denial is counted for is the rule of the direction that was denied, whatever the other one says."""
    pod(site, *((kind.client, CLIENTS_SET) if side == EGRESS else (kind.server, SERVERS_SET)))
    before = site.tables.denied(70 + side)
    assert beginning(site, kind, what) == DENIED[side]
    assert site.tables.denied(70 + side) > before


@each_type
def test_free_pods_are_not_judged(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """Pods that no policy selects begin and answer as they like."""
    for end in (kind.client, kind.server):
        site.tables.pod(end.address, Place(ifindex=1))
    assert beginning(site, kind, what) is None


@each_type
def test_port_is_the_servers(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """Both ends are judged by the server's port."""
    protocol = TCP if what == STREAM else UDP
    other = End(kind.server.address, kind.server.port + 1)
    pod(site, kind.client, CLIENTS_SET)
    pod(site, kind.server, SERVERS_SET)
    for policy, direction in ((CLIENTS_SET, EGRESS), (SERVERS_SET, INGRESS)):
        entry = verdict(direction, kind.server.port, 16, allow=True, rule=1, protocol=protocol)
        site.tables.policy(policy, entry)
    assert beginning(site, kind, what) is None
    assert beginning(site, kind, what, other) == DENIED[EGRESS]


@each_type_from_the_node
def test_node_reaches_its_pods(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """The node's own address passes into a pod that hears nobody else."""
    pod(site, kind.server, SERVERS_SET)
    assert beginning(site, kind, what) == DENIED[INGRESS]
    site.close()
    site.tables.node(kind.client.address)
    assert beginning(site, kind, what) is None


@each_type_to_itself
def test_pod_speaks_to_itself(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """By its own address a pod reaches itself whatever policy says."""
    pod(site, kind.client, CLIENTS_SET)
    assert beginning(site, kind, what, End(kind.client.address, 8080)) is None


@each_type_to_itself
@each_side
def test_pod_that_is_given_itself(site: Site, kind: Kind, what: socket.SocketKind, side: Direction) -> None:
    """Through a Service a pod is judged as its own peer."""
    own = End(kind.client.address, 8080)
    site.tables.service(kind.vip, own, protocol=TCP if what == STREAM else UDP)
    server = site.listen(own) if what == STREAM else site.receive(own)
    for open_ways, expected in (
        ((EGRESS, INGRESS), None),
        ((INGRESS if side == EGRESS else EGRESS,), DENIED[side]),
    ):
        pod(site, kind.client, CLIENTS_SET, *open_ways)
        client = site.at(kind, what, kind.client)
        if what == STREAM:
            assert connecting(site, client, kind.spelled(kind.vip)) == expected
        else:
            client.connect(kind.spelled(kind.vip))
            assert sending(site, client.send, server) == expected


@idle
def test_denied_datagram_vanishes(site: Site, kind: Kind) -> None:
    """A program does not learn that its own pod's policy keeps its datagram back: denied is silent."""
    pod(site, kind.client, CLIENTS_SET)
    client = site.at(kind, DATAGRAM, kind.client)
    before = site.tables.denied(70 + EGRESS)
    assert client.sendto(b"hello", kind.spelled(kind.server)) == len(b"hello")
    assert site.tables.denied(70 + EGRESS) == before + 1
