"""ICMP errors about a translated connection, in the addresses that their reader knows."""

from __future__ import annotations

import struct

import pytest

from tests.packets.rig import SHOT, Net
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import ACK, TCP, UDP, End, echo, icmp, tcp, udp, unreachable

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
    """An error about a ping is known by the ping's identifier."""
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
    """An error from a pod about a connection that it has no part in does not reach the client as the Service's."""
    scene.tables.pod(net.other, scene.rig.behind("hostb"))
    received = scene.open(UDP).packet
    outcome = scene.server_sends(unreachable(net.other, net.client, received))
    assert outcome.action == SHOT or outcome.seen.src.address == net.other


def confine(scene: Scene) -> None:
    """The client may speak to the server's port and nobody else, and does."""
    scene.furnish(client_policy=7)
    for protocol in (0, TCP, UDP):
        scene.tables.policy(7, verdict(Direction.EGRESS, allow=False, rule=9, protocol=protocol))
    scene.tables.policy(7, verdict(Direction.EGRESS, 8080, 16, allow=True, rule=8, protocol=UDP))
    assert scene.client_sends(udp(scene.client, scene.server)).reason == Reason.PASS_PEER


@pytest.mark.parametrize("inside", [False, True], ids=["host side", "in the pod"])
def test_error_to_a_stranger_is_judged(scene: Scene, net: Net, inside: bool) -> None:
    """A connection with somebody else is no leave to speak to a stranger, quoted either way round."""
    confine(scene)
    sends = scene.client_sends
    if inside:
        scene.furnish_inside(policy=7)
        sends = scene.leaves_pod
    sent, received = udp(scene.client, scene.server), udp(scene.server, scene.client)
    for reader, cause in ((net.outside, sent), (net.outside, received), (net.server, sent)):
        outcome = sends(unreachable(net.client, reader, cause))
        assert (outcome.reason, outcome.action) == (Reason.DROP_POLICY_EGRESS, SHOT)
    assert sends(unreachable(net.client, net.server, received)).action != SHOT


def test_error_about_somebody_elses_connection_is_judged(scene: Scene, net: Net) -> None:
    """A pod with no part in a connection does not speak of it past its policy."""
    scene.client_sends(udp(scene.client, scene.server))
    scene.tables.pod(net.other, scene.rig.behind("uplink"), policy=7)
    scene.tables.policy(7, verdict(Direction.EGRESS, allow=False, rule=9, protocol=0))
    message = unreachable(net.other, net.client, udp(scene.client, scene.server))
    outcome = scene.rig.run(programs.HOST_FROM, message, "uplink")
    assert outcome.reason == Reason.DROP_POLICY_EGRESS


def test_error_for_a_pod_about_another_is_judged(scene: Scene, net: Net) -> None:
    """A connection of another pod is no leave to speak to this one."""
    scene.client_sends(udp(scene.client, scene.server))
    scene.furnish(server_policy=7)
    scene.tables.policy(7, verdict(Direction.INGRESS, allow=False, rule=9, protocol=0))
    message = unreachable(net.outside, net.server, udp(scene.client, scene.server))
    assert scene.arrives(message).reason == Reason.DROP_POLICY_INGRESS


def test_error_about_a_connection_of_an_earlier_policy_is_judged(scene: Scene, net: Net) -> None:
    """What a change of policy has ended is not spoken of, either, before its next packet is judged."""
    confine(scene)
    scene.tables.policy(7, verdict(Direction.EGRESS, 8080, 16, allow=False, rule=8, protocol=UDP))
    scene.tables.settings.write(rev=2)
    message = unreachable(net.client, net.server, udp(scene.server, scene.client))
    assert scene.client_sends(message).reason == Reason.DROP_POLICY_EGRESS


def test_error_about_what_is_over_is_judged(scene: Scene, net: Net) -> None:
    """A connection that has been silent for too long is known no longer."""
    confine(scene)
    scene.tables.age(181)
    message = unreachable(net.client, net.server, udp(scene.server, scene.client))
    assert scene.client_sends(message).reason == Reason.DROP_POLICY_EGRESS


def test_error_of_a_free_pod_passes(scene: Scene, net: Net) -> None:
    """A pod without policy says what it likes, to whom it likes."""
    cause = tcp(End(net.outside, 1), End(net.away, 2))
    assert scene.client_sends(unreachable(net.client, net.outside, cause)).reason == Reason.PASS_OUT
