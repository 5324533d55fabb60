"""The end of a TCP connection: entries go with its last packet, and not before."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.packets.connections.test_connections import reaches_client, reaches_server
from tests.packets.rig import Outcome
from tests.packets.scene import Scene
from twinway_testing.frames import ACK, FIN, RST, SYN, TCP, End, tcp

ENDS = ("client", "server")
by_whom = pytest.mark.parametrize("closer", ENDS)


@dataclass(slots=True)
class Talk:
    """A connection and what each end has sent of it, as the two would number it."""

    scene: Scene
    asked: End
    """What the client writes."""
    sent: dict[str, int] = field(default_factory=lambda: {"client": 1000, "server": 0xFFFFFFFD})
    """The next number of each; the server's soon begin anew at 0."""
    given: End | None = None
    """What the server sees as its client."""

    def opened(self) -> Talk:
        """Shake hands."""
        self.given = self.say("client", SYN).seen.src
        self.say("server", SYN | ACK)
        self.say("client")
        return self

    def say(self, who: str, flags: int = ACK, data: bytes = b"", *, knows: int | None = None) -> Outcome:
        """A segment of one end, that acknowledges all of the other's, or as much as it `knows`."""
        (other,) = {*ENDS} - {who}
        acknowledged = self.sent[other] if knows is None else knows
        numbers = self.sent[who], acknowledged
        self.sent[who] = (self.sent[who] + len(data) + bool(flags & (SYN | FIN))) & 0xFFFFFFFF
        if who == "client":
            return self.scene.client_sends(tcp(self.scene.client, self.asked, flags, data, numbers=numbers))
        to = self.given or self.scene.client
        return self.scene.server_sends(tcp(self.scene.server, to, flags, data, numbers=numbers))

    @property
    def known(self) -> int:
        """How many entries there are."""
        return len(self.scene.tables.connections())


def opposite(who: str) -> str:
    """The other end."""
    return ENDS[1 - ENDS.index(who)]


@by_whom
@pytest.mark.parametrize("through", ["service", "direct"])
def test_entries_go_with_the_last_packet(scene: Scene, closer: str, through: str) -> None:
    """When each end has acknowledged the other's FIN, nothing is left, and that packet arrived all the same."""
    talk = Talk(scene, scene.vip if through == "service" else scene.server).opened()
    talk.say(closer, FIN | ACK, b"bye")
    talk.say(opposite(closer), ACK, b"more")
    talk.say(closer)
    talk.say(opposite(closer), FIN | ACK, b"bye")
    assert talk.known == (2 if through == "service" else 1)
    last = talk.say(closer)
    assert talk.known == 0
    if through == "service":
        assert (reaches_server if closer == "client" else reaches_client)(last, scene)


@by_whom
def test_a_backend_by_its_own_name(scene: Scene, closer: str) -> None:
    """Of two connections of one port, each takes its own entries with it."""
    first, second = Talk(scene, scene.vip).opened(), Talk(scene, scene.server).opened()
    assert second.given != first.given
    for talk, left in ((second, 2), (first, 0)):
        talk.say(closer, FIN | ACK)
        talk.say(opposite(closer), FIN | ACK)
        talk.say(closer)
        assert talk.known == left


@by_whom
def test_half_closed(scene: Scene, closer: str) -> None:
    """While one end still speaks, the connection lives."""
    talk = Talk(scene, scene.vip).opened()
    talk.say(closer, FIN | ACK)
    for _ in range(3):
        talk.say(opposite(closer), ACK, b"still here")
        talk.say(closer)
    assert talk.known == 2


@by_whom
def test_what_was_lost_is_waited_for(scene: Scene, closer: str) -> None:
    """After both FINs, what acknowledges less than the last of them ends nothing."""
    talk = Talk(scene, scene.vip).opened()
    talk.say(closer, FIN | ACK)
    lacking = talk.sent[opposite(closer)]
    talk.say(opposite(closer), FIN | ACK, b"lost")
    talk.say(closer, knows=lacking)
    assert talk.known == 2
    talk.say(closer)
    assert talk.known == 0


@by_whom
def test_both_close_at_once(scene: Scene, closer: str) -> None:
    """FINs that crossed each other are each acknowledged later, and neither acknowledgement is lost."""
    talk = Talk(scene, scene.vip).opened()
    unaware = talk.sent[closer]
    talk.say(closer, FIN | ACK)
    talk.say(opposite(closer), FIN | ACK, knows=unaware)
    talk.say(closer)
    assert talk.known == 2
    there = talk.say(opposite(closer))
    assert (reaches_server if closer == "server" else reaches_client)(there, scene)


def test_fin_sent_again(scene: Scene) -> None:
    """A FIN that is sent again, now that the other's is known, changes who has the last word."""
    talk = Talk(scene, scene.vip).opened()
    at = talk.sent["client"]
    talk.say("client", FIN | ACK)
    talk.say("server", FIN | ACK, knows=at)
    talk.sent["client"] = at
    talk.say("client", FIN | ACK)
    assert talk.known == 2
    talk.say("server")
    assert talk.known == 0


@by_whom
def test_reset_is_left_to_time(scene: Scene, closer: str) -> None:
    """After a RST, what is on its way still finds its names."""
    talk = Talk(scene, scene.vip).opened()
    talk.say(closer, RST | ACK)
    assert talk.known == 2
    assert reaches_client(talk.say("server", ACK, b"on its way"), scene)


def test_a_peer_elsewhere_is_left_to_time(scene: Scene) -> None:
    """Between nodes the last packet may be lost, and then the last FIN comes again: it is known."""
    away = End(scene.net.away, 8080)
    for src, dst, flags, numbers in (
        (scene.client, away, SYN, (10, 0)),
        (scene.client, away, FIN | ACK, (11, 50)),
        (away, scene.client, FIN | ACK, (50, 12)),
        (scene.client, away, ACK, (12, 51)),
    ):
        meet = scene.arrives if src == away else scene.client_sends
        meet(tcp(src, dst, flags, numbers=numbers))
    assert len(scene.tables.connections()) == 1


def test_port_used_again(scene: Scene) -> None:
    """A new connection from the same port, right after the last packet, finds nothing of the old one."""
    talk = Talk(scene, scene.vip).opened()
    for who, flags in (("server", FIN | ACK), ("client", FIN | ACK), ("server", ACK)):
        talk.say(who, flags)
    assert reaches_server(scene.open(TCP), scene)
    assert len(scene.tables.connections()) == 2
