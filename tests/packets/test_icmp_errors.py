"""ICMP errors about a translated connection, told in the addresses that their reader knows."""

from __future__ import annotations

import struct

import pytest

from tests.packets.build import ACK, TCP, UDP, End, echo, icmp, tcp, udp, unreachable
from tests.packets.rig import SHOT, Net
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.layout import Reason

both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])


def too_big(scene: Scene, net: Net, cause: bytes) -> bytes:
    """A router's word that `cause`, of the client, did not fit (RFC 1191, RFC 4443)."""
    quote = cause[14:]
    if net.version == 4:
        return icmp(net.outside, net.client, 3, 4, struct.pack("!HH", 0, 1400) + quote[:28])
    return icmp(net.outside, net.client, 2, 0, struct.pack("!I", 1400) + quote[:200])


@both
def test_server_refuses(scene: Scene, protocol: int) -> None:
    """The backend says that its port is closed: the client hears that the Service's is."""
    received = scene.open(protocol).packet
    outcome = scene.server_sends(unreachable(scene.net.server, scene.net.client, received))
    seen = outcome.seen
    assert outcome.reason == Reason.PASS_PEER
    assert (seen.src.address, seen.dst.address) == (scene.net.vip, scene.net.client)
    assert seen.quoted
    assert (seen.quoted.src, seen.quoted.dst) == (scene.client, scene.vip)


@both
def test_server_elsewhere_refuses(scene: Scene, net: Net, protocol: int) -> None:
    """So it does where the backend's word comes through the uplink, the host's stack, or into the pod."""
    backend = End(net.away, 9001)
    scene.tables.service(scene.vip, backend, protocol=protocol)
    message = unreachable(net.away, net.client, scene.open(protocol).packet)
    for meet in (scene.arrives, scene.stack_sends, scene.enters_pod):
        outcome = meet(message)
        assert outcome.action != SHOT
        assert outcome.seen.src.address == net.vip
        assert outcome.seen.quoted
        assert (outcome.seen.quoted.src, outcome.seen.quoted.dst) == (scene.client, scene.vip)


@both
def test_router_keeps_its_name(scene: Scene, net: Net, protocol: int) -> None:
    """A router on the way says that a packet was too big: the quote is translated, its own address is not."""
    scene.tables.service(scene.vip, End(net.away, 9001), protocol=protocol)
    outcome = scene.arrives(too_big(scene, net, scene.open(protocol).packet))
    seen = outcome.seen
    assert outcome.reason == Reason.PASS_PEER
    assert (seen.src.address, seen.dst.address) == (net.outside, net.client)
    assert seen.body[4:8] == (struct.pack("!HH", 0, 1400) if net.version == 4 else struct.pack("!I", 1400))
    assert seen.quoted
    assert (seen.quoted.src, seen.quoted.dst) == (scene.client, scene.vip)


@both
def test_client_refuses_an_answer(scene: Scene, protocol: int) -> None:
    """The client's port is closed by now: it tells the Service, and the backend hears of its own packet."""
    scene.open(protocol)
    answer = scene.server_sends(scene.answer(protocol)).packet
    outcome = scene.client_sends(unreachable(scene.net.client, scene.net.vip, answer))
    seen = outcome.seen
    assert outcome.reason == Reason.PASS_PEER
    assert (seen.src.address, seen.dst.address) == (scene.net.client, scene.net.server)
    assert seen.quoted
    assert (seen.quoted.src, seen.quoted.dst) == (scene.server, scene.client)


def test_long_quotes(scene: Scene) -> None:
    """A quote that goes on beyond the ports is carried along, and summed."""
    scene.open(UDP)
    received = scene.client_sends(udp(scene.client, scene.vip, bytes(range(200)))).packet
    seen = scene.server_sends(unreachable(scene.net.server, scene.net.client, received, length=228)).seen
    assert seen.quoted
    assert seen.quoted.dst == scene.vip
    assert seen.quoted.body[8:] == bytes(range(200))


def test_direct_connection_is_not_translated(scene: Scene) -> None:
    """An error about a connection without a Service passes as it is but for its TTL."""
    cause = udp(scene.client, scene.server)
    scene.client_sends(cause)
    message = unreachable(scene.net.server, scene.net.client, cause)
    outcome = scene.server_sends(message)
    assert outcome.reason == Reason.PASS_PEER
    assert outcome.seen.body == message[14 + (20 if scene.net.version == 4 else 40) :]


def test_quoted_echo(scene: Scene) -> None:
    """An error about a ping is told by the ping's identifier."""
    ping = echo(scene.net.client, scene.net.server, identifier=5)
    scene.client_sends(ping)
    for tables_say, identifier in ((Reason.PASS_PEER, 5), (Reason.DROP_POLICY_EGRESS, 6)):
        scene.furnish(server_policy=7)
        cause = echo(scene.net.client, scene.net.server, identifier=identifier)
        outcome = scene.server_sends(unreachable(scene.net.server, scene.net.client, cause))
        assert outcome.reason == tables_say


def test_error_of_a_known_connection_passes_policy(scene: Scene) -> None:
    """A pod that may send nothing of its own accord may still refuse what reached it."""
    received = scene.open(UDP).packet
    scene.furnish(server_policy=7)
    assert scene.server_sends(unreachable(scene.net.server, scene.net.client, received)).reason == Reason.PASS_PEER


def test_error_of_nothing_known_is_judged(scene: Scene) -> None:
    """An error about a connection that never was is a packet like any other: here, denied."""
    scene.furnish(server_policy=7)
    scene.tables.policy(7, verdict(Direction.EGRESS, allow=False, rule=9, protocol=0))
    message = unreachable(scene.net.server, scene.net.client, udp(scene.client, scene.server))
    outcome = scene.server_sends(message)
    assert (outcome.reason, outcome.action) == (Reason.DROP_POLICY_EGRESS, SHOT)


def test_error_to_a_service_about_nothing_is_dropped(scene: Scene) -> None:
    """An error sent to a Service about a connection that never was leads nowhere."""
    answer = tcp(scene.vip, scene.client, ACK)
    outcome = scene.client_sends(unreachable(scene.net.client, scene.net.vip, answer))
    assert (outcome.reason, outcome.action) == (Reason.DROP_SERVICE_OTHER, SHOT)


def test_liar_cannot_speak_for_another(scene: Scene, net: Net) -> None:
    """An error from a pod about a connection that it has no part in is not told to the client as the Service's."""
    scene.tables.pod(net.other, scene.rig.behind("hostb"))
    received = scene.open(UDP).packet
    outcome = scene.server_sends(unreachable(net.other, net.client, received))
    assert outcome.action == SHOT or outcome.seen.src.address == net.other
