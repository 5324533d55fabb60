"""Policy and datagrams beside policy at sockets: who may speak with whom, and who only answers."""

from __future__ import annotations

from tests.packets.socket_fates import (
    CLIENTS_SET,
    DATAGRAM,
    DENIED,
    EGRESS,
    INGRESS,
    Fate,
    each_side,
    idle,
    pod,
    sending,
)
from tests.packets.sockets import Kind, Site
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.tables.layout import Udp
from twinway_testing.frames import UDP, End

pytestmark = idle


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
        fates.append(sending(site, client.send, server))
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
        return sending(self._site, lambda data: self.client.sendto(data, target), peer)

    def back(self, number: int) -> Fate:
        """What becomes of a datagram of a peer to the client."""
        host, port, *_ = self.client.getsockname()
        target = (host.removeprefix("::ffff:"), port)
        return sending(self._site, lambda data: self.peers[number].sendto(data, target), self.client)


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
    """Who spoke first is forgotten after the idle time of a UDP connection, which each answer begins anew."""
    talk = Datagrams(site, kind, side)
    ask, reply = (talk.to, talk.back) if side == EGRESS else (talk.back, talk.to)
    assert ask(0) is None
    for _ in range(2):
        _age(site, 178)
        assert reply(0) is None
    _age(site, 182)
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
