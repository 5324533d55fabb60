"""
Policy at sockets, under real ones: what a socket may say and hear, and for how long.

Pods are addresses of one namespace's loopback: a packet meets its sender's hook and its receiver's.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.packets.build import ACK, TCP, UDP, End, tcp
from tests.packets.rig import V4, V6, Net
from tests.packets.sockets import SECONDS, Kind, Site, disconnect
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf import libbpf
from twinway_bpf.encode import Place
from twinway_bpf.layout import Reason, Side, Udp

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
CLIENTS_SET, SERVERS_SET = 7, 9
DENIED = {INGRESS: Reason.DROP_POLICY_INGRESS, EGRESS: Reason.DROP_POLICY_EGRESS}
SO_COOKIE = 57
Fate = Reason | None
"""Why something was dropped; None: it arrived."""

each_type = pytest.mark.parametrize("what", [STREAM, DATAGRAM], ids=["tcp", "udp"])
each_side = pytest.mark.parametrize("side", list(Direction), ids=["server's ingress", "client's egress"])


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    """No pod is under a policy yet."""
    whole_site.tables.clear()
    whole_site.learn_host()
    yield whole_site
    whole_site.close()


def pod(site: Site, end: End, policy: int, *open_ways: Direction) -> None:
    """A pod under a set that allows these directions and no other."""
    site.tables.pod(end.address, Place(ifindex=1), policy=policy)
    for direction in Direction:
        for protocol in (TCP, UDP):
            entry = verdict(direction, allow=direction in open_ways, rule=70 + direction, protocol=protocol)
            site.tables.policy(policy, entry)


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
        return bool(select.select([], [client], [], 0.01)[1]) and not client.getsockopt(
            socket.SOL_SOCKET, socket.SO_ERROR
        )

    return fate(site, before, is_connected)


def saying(site: Site, say: Callable[[bytes], object], listener: socket.socket) -> Fate:
    """What becomes of some bytes on their way to a listener."""
    data, heard = os.urandom(16), b""
    listener.setblocking(False)

    def is_heard() -> bool:
        nonlocal heard
        with suppress(BlockingIOError):
            heard = (heard + listener.recv(100))[-16:]
        return heard == data

    before = site.tables.counts()
    with suppress(PermissionError):  # that is how a datagram's sender hears of his own hook's drop
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
    return saying(site, lambda data: client.sendto(data, kind.spelled(target)), server)


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


@pytest.mark.parametrize(
    ("what", "side"),
    [
        (STREAM, INGRESS),
        (STREAM, EGRESS),
        (DATAGRAM, EGRESS),
        (DATAGRAM, INGRESS),
    ],
)
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


@each_type
def test_node_reaches_its_pods(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """The node's own address passes into a pod that hears nobody else."""
    pod(site, kind.server, SERVERS_SET)
    assert beginning(site, kind, what) == DENIED[INGRESS]
    site.close()
    site.tables.node(kind.client.address)
    assert beginning(site, kind, what) is None


def established(site: Site, kind: Kind) -> tuple[socket.socket, socket.socket]:
    """A TCP connection: the client's socket and the accepted one."""
    listener = site.listen(kind.server)
    client = site.at(kind, STREAM, kind.client)
    client.connect(kind.spelled(kind.server))
    accepted, _ = listener.accept()
    site.keep(accepted)
    return client, accepted


def test_both_ends_of_a_connection_speak(site: Site, kind: Kind) -> None:
    """On a connection that was allowed both speak, though it could not have been opened the other way."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    client, accepted = established(site, kind)
    for speaker, listener in ((client, accepted), (accepted, client)):
        assert saying(site, speaker.send, listener) is None


@each_side
@pytest.mark.parametrize("speaker", [0, 1], ids=["client speaks", "server speaks"])
def test_connection_is_judged_again(site: Site, kind: Kind, side: Direction, speaker: int) -> None:
    """When the revision changes, a connection that is denied by now falls silent, both ways."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    ends = established(site, kind)
    assert saying(site, ends[speaker].send, ends[1 - speaker]) is None
    pod(site, *((kind.client, CLIENTS_SET) if side == EGRESS else (kind.server, SERVERS_SET)))
    assert saying(site, ends[speaker].send, ends[1 - speaker]) is None
    site.tables.settings.write(rev=2)
    assert saying(site, ends[speaker].send, ends[1 - speaker]) == DENIED[side]


@each_side
@pytest.mark.parametrize("speaker", [0, 1], ids=["client speaks", "server speaks"])
def test_connection_from_before(site: Site, kind: Kind, side: Direction, speaker: int) -> None:
    """Of sockets of which nothing is kept, those that the agent wrote down have connected, the others not."""
    ends = established(site, kind)
    for each in ends:
        libbpf.map_delete(site.tables.maps["skpol"].descriptor, each.fileno().to_bytes(4, "little"))
    opener = ends[0].getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8)
    site.tables.maps["side"].write({opener: bytes((Side.ACTIVE,))})
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    assert saying(site, ends[speaker].send, ends[1 - speaker]) is None
    pod(site, *((kind.client, CLIENTS_SET, INGRESS) if side == EGRESS else (kind.server, SERVERS_SET, EGRESS)))
    site.tables.settings.write(rev=2)
    assert saying(site, ends[speaker].send, ends[1 - speaker]) == DENIED[side]


@each_side
def test_connection_from_before_its_pods_policy(site: Site, kind: Kind, side: Direction) -> None:
    """Which end opened is noted also where no policy is asked, for one that comes later."""
    for end in (kind.client, kind.server):
        site.tables.pod(end.address, Place(ifindex=1))
    ends = established(site, kind)
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    site.tables.settings.write(rev=2)
    for speaker, listener in (ends, ends[::-1]):
        assert saying(site, speaker.send, listener) is None
    pod(site, *((kind.client, CLIENTS_SET, INGRESS) if side == EGRESS else (kind.server, SERVERS_SET, EGRESS)))
    site.tables.settings.write(rev=3)
    assert saying(site, ends[0].send, ends[1]) == DENIED[side]


def test_accepted_socket_that_connects(site: Site, kind: Kind) -> None:
    """A socket that was accepted, and then connects to somebody, is judged as one that opens."""
    pod(site, kind.server, SERVERS_SET, INGRESS)
    _, accepted = established(site, kind)
    disconnect(accepted)
    site.listen(kind.others[0])
    assert connecting(site, accepted, kind.spelled(kind.others[0])) == DENIED[EGRESS]


def test_socket_that_connects_again(site: Site, kind: Kind) -> None:
    """What was said of a socket's last connection is not said of its next."""
    pod(site, kind.client, CLIENTS_SET)
    allowed, denied = End(kind.server.address, 8080), End(kind.server.address, 8081)
    site.tables.policy(CLIENTS_SET, verdict(EGRESS, allowed.port, 16, allow=True, rule=1))
    client = site.at(kind, STREAM, kind.client)
    site.listen(denied)
    site.listen(allowed)
    client.connect(kind.spelled(allowed))
    disconnect(client)
    assert connecting(site, client, kind.spelled(denied)) == DENIED[EGRESS]


def test_socket_that_listens_later(site: Site, kind: Kind) -> None:
    """A socket whose connection was allowed does not let everybody in when it listens."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    site.listen(kind.server)
    turning = site.at(kind, STREAM, End(kind.client.address, 8085))
    turning.connect(kind.spelled(kind.server))
    disconnect(turning)
    turning.listen()
    asking = site.at(kind, STREAM, kind.others[0])
    assert connecting(site, asking, kind.spelled(End(kind.client.address, 8085))) == DENIED[INGRESS]


@pytest.mark.parametrize("net", [V4, V6], ids=["v4", "v6"])
def test_raw_socket_is_no_connection(site: Site, net: Net) -> None:
    """What a raw socket says to one peer is allowed or not, whatever it said to another."""
    pod(site, End(net.client), CLIENTS_SET)
    site.tables.policy(CLIENTS_SET, verdict(EGRESS, 8080, 16, allow=True, rule=1))
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_RAW, TCP) as raw:
        raw.bind((str(net.client), 0))
        for port, dropped in ((8080, 0), (8081, 1), (8080, 0)):
            before = site.tables.counts()[Reason.DROP_POLICY_EGRESS]
            segment = tcp(End(net.client, 9000), End(net.server, port), ACK)[
                14 + (20 if net.version == 4 else 40) :
            ]
            with suppress(OSError):  # IPv6 tells a raw socket of a drop on the way, IPv4 does not
                raw.sendto(segment, (str(net.server), 0))
            assert site.tables.counts()[Reason.DROP_POLICY_EGRESS] == before + dropped


def test_datagram_socket_that_connects_again(site: Site, kind: Kind) -> None:
    """So it is with datagrams: each peer counts for itself."""
    pod(site, kind.client, CLIENTS_SET)
    allowed, denied = End(kind.server.address, 8080), End(kind.server.address, 8081)
    site.tables.policy(CLIENTS_SET, verdict(EGRESS, allowed.port, 16, allow=True, rule=1, protocol=UDP))
    client = site.at(kind, DATAGRAM, kind.client)
    servers = [site.receive(each) for each in (allowed, denied)]
    fates = []
    for end, server in zip((allowed, denied), servers, strict=True):
        client.connect(kind.spelled(end))
        fates.append(saying(site, client.send, server))
    assert fates == [None, DENIED[EGRESS]]


class Datagrams:
    """The client's socket, and two peers that are under no policy."""

    def __init__(self, site: Site, kind: Kind, *open_ways: Direction) -> None:
        pod(site, kind.client, CLIENTS_SET, *open_ways)
        self._site = site
        self.client = site.at(kind, DATAGRAM, kind.client)
        self.peers = [site.receive(each) for each in (kind.server, kind.others[0])]

    def to(self, number: int) -> Fate:
        """What becomes of a datagram of the client to a peer."""
        peer = self.peers[number]
        host, port, *_ = peer.getsockname()
        mapped = self.client.family != peer.family
        target = (f"::ffff:{host}" if mapped else host, port)
        return saying(self._site, lambda data: self.client.sendto(data, target), peer)

    def back(self, number: int) -> Fate:
        """What becomes of a datagram of a peer to the client."""
        host, port, *_ = self.client.getsockname()
        target = (host.removeprefix("::ffff:"), port)
        return saying(self._site, lambda data: self.peers[number].sendto(data, target), self.client)


def test_who_may_ask_is_answered(site: Site, kind: Kind) -> None:
    """A pod that may ask and not be asked hears those whom it asked, and nobody else."""
    talk = Datagrams(site, kind, EGRESS)
    assert talk.back(0) == DENIED[INGRESS]
    assert talk.to(0) is None
    assert talk.back(0) is None
    assert talk.back(1) == DENIED[INGRESS]


def test_who_may_be_asked_answers(site: Site, kind: Kind) -> None:
    """A pod that may be asked and not ask answers those who asked it, and speaks to nobody else."""
    talk = Datagrams(site, kind, INGRESS)
    assert talk.to(0) == DENIED[EGRESS]
    assert talk.back(0) is None
    assert talk.to(0) is None
    assert talk.to(1) == DENIED[EGRESS]


@each_side
def test_answer_may_come_too_late(site: Site, kind: Kind, side: Direction) -> None:
    """Who spoke first is forgotten after the idle time of a UDP connection, and not before."""
    talk = Datagrams(site, kind, side)
    ask, reply = (talk.to, talk.back) if side == EGRESS else (talk.back, talk.to)
    assert ask(0) is None
    _age(site, 178)
    assert reply(0) is None
    _age(site, 4)
    assert reply(0) == DENIED[INGRESS if side == EGRESS else EGRESS]
    assert ask(0) is None
    assert reply(0) is None


def _age(site: Site, units: int) -> None:
    table = site.tables.maps["udp"]
    for key, value in table.entries().items():
        raw = Udp.from_buffer_copy(value)
        raw.seen = (raw.seen - units) & 0xFFFFFFFF
        table.write({key: bytes(raw)})


def test_change_of_policy_ends_answers(site: Site, kind: Kind) -> None:
    """Once a pod may not ask any more, it is not answered, either."""
    talk = Datagrams(site, kind, EGRESS)
    assert talk.to(0) is None
    pod(site, kind.client, CLIENTS_SET)
    assert talk.back(0) == DENIED[INGRESS]
    assert talk.to(0) == DENIED[EGRESS]


def test_connected_datagram_socket_is_judged_again(site: Site, kind: Kind) -> None:
    """What is kept on a connected socket is good for one revision of policy, and no longer."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    client, server = site.at(kind, DATAGRAM, kind.client), site.receive(kind.server)
    client.connect(kind.spelled(kind.server))
    assert saying(site, client.send, server) is None
    pod(site, kind.client, CLIENTS_SET)
    assert saying(site, client.send, server) is None
    site.tables.settings.write(rev=2)
    assert saying(site, client.send, server) == DENIED[EGRESS]


@each_type
def test_pod_speaks_to_itself(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """By its own address a pod reaches itself whatever policy says."""
    pod(site, kind.client, CLIENTS_SET)
    assert beginning(site, kind, what, End(kind.client.address, 8080)) is None


@each_type
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
            assert saying(site, client.send, server) == expected


def test_denied_datagram_vanishes(site: Site, kind: Kind) -> None:
    """A program does not learn that its own pod's policy keeps its datagram back: denied is silent."""
    pod(site, kind.client, CLIENTS_SET)
    client = site.at(kind, DATAGRAM, kind.client)
    before = site.tables.denied(70 + EGRESS)
    assert client.sendto(b"hello", kind.spelled(kind.server)) == len(b"hello")
    assert site.tables.denied(70 + EGRESS) == before + 1
