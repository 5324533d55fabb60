"""One client port, several connections to one backend: each but the first goes on from a port of its own."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.packets.rig import REDIRECT, Net, Outcome
from tests.packets.scene import Scene
from twinway_bpf.tables.layout import CtFlag
from twinway_testing.frames import ACK, FIN, SYN, TCP, UDP, End, tcp, udp, unreachable

both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
asked_as = pytest.mark.parametrize("asked", ["server", "other"], ids=["by name", "through another Service"])


def packet(protocol: int, src: End, dst: End, flags: int = SYN) -> bytes:
    """A packet of a connection."""
    return tcp(src, dst, flags) if protocol == TCP else udp(src, dst)


@dataclass(frozen=True, slots=True)
class Second:
    """A connection from the client's port to the same backend, opened beside the one through the Service."""

    scene: Scene
    protocol: int
    asked: End
    """What the client writes."""
    given: End
    """What the backend sees as its client."""

    def goes_on(self) -> Outcome:
        """A later packet of the client."""
        return self.scene.client_sends(packet(self.protocol, self.scene.client, self.asked, ACK))

    def answer(self) -> Outcome:
        """A packet of the backend."""
        return self.scene.server_sends(packet(self.protocol, self.scene.server, self.given, ACK))

    def lives(self) -> bool:
        """Whether both directions arrive, each in the names that its reader knows."""
        there, back = self.goes_on(), self.answer()
        return (there.action, back.action) == (REDIRECT, REDIRECT) and (
            (there.seen.src, there.seen.dst, back.seen.src, back.seen.dst)
            == (self.given, self.scene.server, self.asked, self.scene.client)
        )


def beside(scene: Scene, protocol: int, asked: str) -> Second:
    """Open the first connection, and the second one beside it."""
    other = End(scene.net.vip, 81)
    scene.tables.service(other, scene.server, protocol=protocol)
    name = scene.server if asked == "server" else other
    assert scene.open(protocol).seen.src == scene.client
    given = scene.client_sends(packet(protocol, scene.client, name)).seen.src
    assert given.address == scene.client.address
    assert given.port >= 32768
    return Second(scene, protocol, name, given)


@both
@asked_as
def test_both_live(scene: Scene, protocol: int, asked: str) -> None:
    """The second connection keeps its port, and the first one its own."""
    second = beside(scene, protocol, asked)
    for _ in range(3):
        assert second.lives()
        assert scene.client_sends(scene.further(protocol)).seen.src == scene.client
        assert scene.server_sends(scene.answer(protocol)).seen.src == scene.vip


@both
@asked_as
def test_lost_record_comes_back(scene: Scene, protocol: int, asked: str) -> None:
    """The record of the second connection is written again by its client, within a unit of time."""
    second = beside(scene, protocol, asked)
    (record,) = [each for each in scene.tables.connections() if not each.is_alias and second.given in each.ends]
    scene.tables.forget(record)
    scene.tables.age(1)
    assert second.lives()


@both
def test_lost_alias_comes_back(scene: Scene, protocol: int) -> None:
    """Its alias is, too, and the second connection goes on from the port that it had."""
    second = beside(scene, protocol, "other")
    (alias,) = [each for each in scene.tables.connections() if each.is_alias and second.asked in each.ends]
    scene.tables.forget(alias)
    assert second.lives()


@both
@asked_as
def test_backend_refuses_the_second(scene: Scene, net: Net, protocol: int, asked: str) -> None:
    """An error about the second connection speaks to the client of the port that it used, and of whom it asked."""
    second = beside(scene, protocol, asked)
    received = second.goes_on().packet
    seen = scene.server_sends(unreachable(net.server, net.client, received)).seen
    assert seen.src.address == second.asked.address
    assert seen.quoted
    assert (seen.quoted.src, seen.quoted.dst) == (scene.client, second.asked)


@both
def test_client_refuses_an_answer_of_the_second(scene: Scene, net: Net, protocol: int) -> None:
    """The client's error about the second one's answer speaks to the backend of the port that it sent to."""
    second = beside(scene, protocol, "other")
    received = second.answer().packet
    seen = scene.client_sends(unreachable(net.client, net.vip, received)).seen
    assert seen.dst.address == net.server
    assert seen.quoted
    assert (seen.quoted.src, seen.quoted.dst) == (scene.server, second.given)


@both
def test_service_beside_the_backend(scene: Scene, protocol: int) -> None:
    """The other way round: a connection to the backend itself is there first, and stays as it was."""
    scene.client_sends(packet(protocol, scene.client, scene.server))
    moved = scene.open(protocol).seen.src
    assert moved.port != scene.client.port
    assert Second(scene, protocol, scene.vip, moved).lives()
    direct = scene.client_sends(packet(protocol, scene.client, scene.server, ACK)).seen
    assert (direct.src, direct.dst) == (scene.client, scene.server)
    assert scene.server_sends(scene.answer(protocol)).seen.src == scene.server


@asked_as
def test_name_of_a_closed_connection_is_free(scene: Scene, asked: str) -> None:
    """Once the first one has ended, its port need not be left to it."""
    other = End(scene.net.vip, 81)
    scene.tables.service(other, scene.server)
    scene.open()
    scene.client_sends(tcp(scene.client, scene.vip, FIN | ACK, numbers=(10, 20)))
    scene.server_sends(tcp(scene.server, scene.client, FIN | ACK, numbers=(20, 11)))
    assert CtFlag.FIN_BOTH in scene.tables.record().flags
    name = scene.server if asked == "server" else other
    there = scene.client_sends(tcp(scene.client, name)).seen
    assert (there.src, there.dst) == (scene.client, scene.server)
    assert scene.server_sends(scene.answer()).seen.src == name


@both
@pytest.mark.parametrize("in_pod", [False, True], ids=["host side", "in the pod"])
def test_pod_that_two_services_give_itself(scene: Scene, protocol: int, in_pod: bool) -> None:
    """A pod asks two Services from one port, and is given itself by both: two stand-ins with different ports."""
    scene.tables.pod(scene.net.client, scene.rig.behind("eth0" if in_pod else "hosta"))
    meet = scene.leaves_pod if in_pod else scene.client_sends
    itself, other = End(scene.net.client, 8080), End(scene.net.vip, 81)
    stand_ins = {}
    for asked in (scene.vip, other):
        scene.tables.service(asked, itself, protocol=protocol)
        stand_ins[asked] = meet(packet(protocol, scene.client, asked)).seen.src
    assert {each.address for each in stand_ins.values()} == {scene.net.hairpin}
    assert len(set(stand_ins.values())) == 2
    for asked, stand_in in stand_ins.items():
        back = meet(packet(protocol, itself, stand_in, ACK)).seen
        assert (back.src, back.dst) == (asked, scene.client)
        there = meet(packet(protocol, scene.client, asked, ACK)).seen
        assert (there.src, there.dst) == (stand_in, itself)
