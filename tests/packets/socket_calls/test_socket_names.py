"""Sockets that ask one backend by several names: an answer bears the name that was asked, or asking is refused."""

from __future__ import annotations

import ctypes
import errno
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from tests.packets.sockets import Kind, Site, disconnect, plain, reply
from twinway_bpf.tables import clock
from twinway_bpf.tables.layout import Peers, Reason
from twinway_testing.frames import TCP, UDP, End

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
IPPROTO_MPTCP = 262
WAIT_UNITS = 10
"""PEER_WAIT of sk_names.h."""
TURNS = 3


@pytest.fixture
def site(whole_site: Site, kind: Kind) -> Iterator[Site]:
    """Two Services, `kind.vip` and `beside`, of one and the same backend; the host's own sockets are served."""
    whole_site.tables.clear()
    whole_site.learn_host()
    for protocol in (TCP, UDP):
        for vip in (kind.vip, beside(kind)):
            whole_site.tables.service(vip, kind.server, protocol=protocol)
    whole_site.tables.datagram_end(kind.server)
    yield whole_site
    whole_site.close()


def beside(kind: Kind) -> End:
    """The other Service."""
    return End(kind.vip.address, 90)


def refusal(call: Callable[[], object]) -> int | None:
    """The errno that a call fails with; None if it does not."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def sender(client: socket.socket) -> tuple[str, int]:
    """Whom the next datagram is from."""
    name = client.recvfrom(100)[1]
    return name[0], name[1]


def asking(client: socket.socket, kind: Kind, name: End) -> Callable[[], object]:
    """A datagram to a name."""
    return lambda: client.sendto(b"hello", kind.spelled(name))


def age(site: Site, client: socket.socket, units: int) -> None:
    """Let all that a socket asked have been asked so long ago."""
    table, key = site.tables.maps["skpeer"], struct.pack("=i", client.fileno())
    peers = Peers.from_buffer_copy(table.lookup(key) or b"")
    for peer in peers.peer:
        if peer.asked:
            peer.asked -= units
    table.write({key: bytes(peers)})


def fill(site: Site, client: socket.socket) -> None:
    """Let a socket wait for answers from as many as it can know."""
    peers = Peers()
    for number, peer in enumerate(peers.peer):
        peer.to.port, peer.asked, peer.waiting = 1 + number, clock.now() + 1, 1
    key = struct.pack("=i", client.fileno())
    site.tables.maps["skpeer"].write({key: bytes(peers)})


def test_many_services_at_once(site: Site, kind: Kind) -> None:
    """A socket that asks 24 Services before anybody answers learns which one does, in any order."""
    vips = [End(kind.vip.address, 100 + number) for number in range(24)]
    servers = []
    for number, vip in enumerate(vips):
        backend = End(kind.server.address, 9000 + number)
        site.tables.service(vip, backend, protocol=UDP)
        servers.append(site.receive(backend))
    client = site.open(kind, DATAGRAM)
    for vip in vips:
        client.sendto(b"hello", kind.spelled(vip))
    order = list(range(len(vips)))
    random.Random(7).shuffle(order)
    for number in order:
        reply(servers[number])
        assert sender(client) == kind.spelled(vips[number])


def test_more_services_than_there_is_room_for(site: Site, kind: Kind) -> None:
    """Some of 100 Services asked at once are refused; all that are asked answer by their own names."""
    vips = [End(kind.vip.address, 100 + number) for number in range(100)]
    client = site.open(kind, DATAGRAM)
    asked = []
    for number, vip in enumerate(vips):
        backend = End(kind.server.address, 9000 + number)
        site.tables.service(vip, backend, protocol=UDP)
        server = site.receive(backend)
        refused = refusal(asking(client, kind, vip))
        assert refused in (None, errno.ENOBUFS)
        if not refused:
            asked.append((vip, server))
    assert 30 <= len(asked) < len(vips)
    for vip, server in asked:
        reply(server)
        assert sender(client) == kind.spelled(vip)
    assert refusal(asking(client, kind, vips[-1])) is None


def test_services_of_one_backend_in_turn(site: Site, kind: Kind) -> None:
    """Asked one after the other, each answers by its name; and so does the backend itself."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    for name in (kind.vip, beside(kind), kind.server) * TURNS:
        client.sendto(b"hello", kind.spelled(name))
        reply(server)
        assert sender(client) == kind.spelled(name)


@pytest.mark.parametrize("first", [0, 1, 2], ids=["a Service", "another", "the backend"])
@pytest.mark.parametrize("second", [0, 1, 2], ids=["a Service", "another", "the backend"])
def test_services_of_one_backend_at_once(site: Site, kind: Kind, first: int, second: int) -> None:
    """While one's answers are awaited the other cannot be asked; both answers of the one bear its name."""
    names = (kind.vip, beside(kind), kind.server)
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    for _ in range(2):
        client.sendto(b"hello", kind.spelled(names[first]))
    for _ in range(2):
        refused = refusal(asking(client, kind, names[second]))
        assert refused == (None if first == second else errno.EADDRINUSE)
        reply(server)
        assert sender(client) == kind.spelled(names[first])
    if first != second:
        client.sendto(b"hello", kind.spelled(names[second]))
        reply(server)
        assert sender(client) == kind.spelled(names[second])


def test_answer_that_does_not_come(site: Site, kind: Kind) -> None:
    """It is awaited for a while, and not for ever."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.sendto(b"lost", kind.spelled(kind.vip))
    server.recv(100)
    age(site, client, WAIT_UNITS - 1)
    assert refusal(asking(client, kind, beside(kind))) == errno.EADDRINUSE
    age(site, client, 2)
    client.sendto(b"hello", kind.spelled(beside(kind)))
    reply(server)
    assert sender(client) == kind.spelled(beside(kind))


def test_another_backend_is_chosen(site: Site, kind: Kind) -> None:
    """A Service that has one is asked there, while the first one's answer under another name is awaited."""
    site.tables.service(beside(kind), kind.server, kind.others[0], protocol=UDP)
    for _ in range(8):
        first, second = site.receive(kind.server), site.receive(kind.others[0])
        client = site.open(kind, DATAGRAM)
        client.sendto(b"hello", kind.spelled(kind.vip))
        client.sendto(b"hello", kind.spelled(beside(kind)))
        reply(second)
        assert sender(client) == kind.spelled(beside(kind))
        reply(first)
        assert sender(client) == kind.spelled(kind.vip)
        for each in (first, second, client):
            each.close()


def test_connected_socket_sends_elsewhere(site: Site, kind: Kind) -> None:
    """What it is connected to has that name alone; asked by another one it could not say which."""
    site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    for name in (beside(kind), kind.server):
        # to the hook, what a v6 socket sends to its IPv4 peer is sent to that by its own name
        expected = None if kind.mapped and name == kind.server else errno.EADDRINUSE
        assert refusal(asking(client, kind, name)) == expected
    direct = site.open(kind, DATAGRAM)
    direct.connect(kind.spelled(kind.server))
    assert refusal(asking(direct, kind, kind.vip)) == errno.EADDRINUSE


def test_connecting_while_an_answer_is_awaited(site: Site, kind: Kind) -> None:
    """A socket cannot be connected to a backend under one name that owes it an answer under another."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.sendto(b"hello", kind.spelled(kind.vip))
    for name in (beside(kind), kind.server):
        assert refusal(partial(client.connect, kind.spelled(name))) == errno.EADDRNOTAVAIL
    reply(server)
    assert sender(client) == kind.spelled(kind.vip)
    for name in (beside(kind), kind.server, kind.vip):
        client.connect(kind.spelled(name))
        client.send(b"hello")
        reply(server)
        assert sender(client) == kind.spelled(name)
        disconnect(client)


def shared(site: Site, kind: Kind, what: socket.SocketKind) -> socket.socket:
    """A socket on a port that others may be bound to, too."""
    made = site.open(kind, what)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    made.bind(kind.spelled(End(kind.client.address, 4477)))
    return made


@pytest.mark.parametrize("what", [STREAM, DATAGRAM], ids=["tcp", "udp"])
def test_one_port_two_services(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """Sockets bound to one port cannot both be connected to one backend by two names: that is refused."""
    if what == STREAM:
        site.listen(kind.server)
    names = [kind.vip, beside(kind)]
    with shared(site, kind, what) as first, shared(site, kind, what) as second:
        first.connect(kind.spelled(names[0]))
        assert refusal(lambda: second.connect(kind.spelled(names[1]))) == errno.EADDRNOTAVAIL
        assert refusal(lambda: second.connect(kind.spelled(kind.server))) == errno.EADDRNOTAVAIL
        assert first.getpeername()[:2] == kind.spelled(names[0])


@pytest.mark.parametrize("what", [STREAM, DATAGRAM], ids=["tcp", "udp"])
def test_one_port_two_services_of_two_backends(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """Where the other Service has a second backend, that is what the second socket is given."""
    protocol = TCP if what == STREAM else UDP
    site.tables.service(beside(kind), kind.server, kind.others[0], protocol=protocol)
    serve = site.listen if what == STREAM else site.receive
    for end in (kind.server, kind.others[0]):
        serve(end)
    for _ in range(8):
        with shared(site, kind, what) as first, shared(site, kind, what) as second:
            first.connect(kind.spelled(kind.vip))
            second.connect(kind.spelled(beside(kind)))
            assert second.getpeername()[:2] == kind.spelled(beside(kind))


def test_one_port_one_after_the_other(site: Site, kind: Kind) -> None:
    """A port that asked a backend under one name may ask it under another when the first socket has gone."""
    server = site.receive(kind.server)
    for name in (kind.vip, beside(kind), kind.server) * TURNS:
        with shared(site, kind, DATAGRAM) as client:
            client.connect(kind.spelled(name))
            client.send(b"hello")
            reply(server)
            assert sender(client) == kind.spelled(name)


def test_peer_of_an_mptcp_socket(site: Site, kind: Kind) -> None:
    """An MPTCP socket reaches the backend, and believes to speak with the Service, before and after traffic."""
    server = site.listen(kind.server)
    try:
        client = socket.socket(kind.family, STREAM, IPPROTO_MPTCP)
    except OSError:
        pytest.skip("this kernel has no MPTCP")
    site.keep(client)
    client.settimeout(5)
    client.connect(kind.spelled(kind.vip))
    accepted, who = server.accept()
    with accepted:
        assert client.getpeername()[:2] == kind.spelled(kind.vip)
        client.send(b"hello")
        assert accepted.recv(100) == b"hello"
        assert client.getpeername()[:2] == kind.spelled(kind.vip)
        assert plain(who)[1] == client.getsockname()[1]


def taken(site: Site, kind: Kind) -> int | None:
    """Two names of one backend are asked at once."""
    client = site.open(kind, DATAGRAM)
    client.sendto(b"hello", kind.spelled(kind.vip))
    return refusal(asking(client, kind, beside(kind)))


def no_room(site: Site, kind: Kind) -> int | None:
    """A socket that waits for as many answers as it can asks one more."""
    client = site.open(kind, DATAGRAM)
    fill(site, client)
    return refusal(asking(client, kind, kind.vip))


REACHED = {
    Reason.REJECT_TAKEN: (errno.EADDRINUSE, taken),
    Reason.REJECT_NO_ROOM: (errno.ENOBUFS, no_room),
}
"""What the call answers, and calls that reach the reason."""


@pytest.mark.parametrize("reason", REACHED, ids=lambda reason: reason.name.lower())
def test_is_reached(site: Site, kind: Kind, reason: Reason) -> None:
    """A socket call gets there, and is counted once."""
    answer, call = REACHED[reason]
    before = site.tables.counts()[reason]
    assert call(site, kind) == answer
    assert site.tables.counts()[reason] == before + 1


def test_storage_is_small(site: Site, kind: Kind) -> None:
    """What a socket knows of those it asks takes less than a page, and nothing where it asks no Service."""
    assert ctypes.sizeof(Peers) <= 4096
    client = site.open(kind, DATAGRAM)
    with suppress(OSError):
        client.sendto(b"hello", kind.spelled(End(kind.server.address, 9999)))
    assert site.tables.maps["skpeer"].lookup(struct.pack("=i", client.fileno())) is None
