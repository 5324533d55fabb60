"""The answer to a packet that nobody serves: a reset to TCP, to others a port unreachable that quotes it."""

from __future__ import annotations

import pytest

from tests.packets.parse.test_parse import PADDING
from tests.packets.read import macs
from tests.packets.rig import REDIRECT, SHOT, Net, Outcome
from tests.packets.scene import Scene, only_v4, only_v6
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import ICMP, ICMPV6, TCP, UDP, End, tcp, udp

TURNED = 0x74770000
QUOTED = 8
"""Bytes of the transport that are quoted."""
RESET_ACK = 0x14

both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
why = pytest.mark.parametrize("reason", [Reason.REJECT_NO_BACKEND, Reason.REJECT_NO_PORT])


def asked(scene: Scene, protocol: int, reason: Reason, data: bytes = b"") -> bytes:
    """A packet to a Service that has no backend, or not this port."""
    scene.tables.service(End(scene.net.vip, 83), protocol=protocol)
    to = End(scene.net.vip, 83 if reason == Reason.REJECT_NO_BACKEND else 84)
    make = tcp if protocol == TCP else udp
    return make(scene.client, to, data=data)


def check_answer(outcome: Outcome, net: Net, packet: bytes, protocol: int) -> None:
    """The outcome answers `packet`, and nothing of it is wrong."""
    assert outcome.seen.faults == ()
    assert macs(outcome.packet) == (packet[6:12], packet[:6])
    if protocol == TCP:
        check_reset(outcome, net, packet)
    else:
        check_message(outcome, net, packet)


def check_reset(outcome: Outcome, net: Net, packet: bytes) -> None:
    """A reset of what was to be opened: RFC 9293, 3.10.7.1."""
    asking, seen = packet[14 + (20 if net.version == 4 else 40) :], outcome.seen
    assert (seen.src.address, seen.dst.address, seen.protocol) == (net.vip, net.client, TCP)
    assert seen.body[:2] + seen.body[2:4] == asking[2:4] + asking[:2]
    sequence, acknowledged = seen.body[4:8], seen.body[8:12]
    assert int.from_bytes(sequence, "big") == 0
    assert int.from_bytes(acknowledged, "big") == int.from_bytes(asking[4:8], "big") + 1
    assert seen.body[13] == RESET_ACK


def check_message(outcome: Outcome, net: Net, packet: bytes) -> None:
    """A port unreachable that quotes the packet, byte for byte."""
    seen = outcome.seen
    assert (seen.src, seen.dst) == (End(net.vip), End(net.client))
    assert seen.ttl == 64
    assert (seen.protocol, seen.icmp) == ((ICMP, (3, 3)) if net.version == 4 else (ICMPV6, (1, 4)))
    head = 20 if net.version == 4 else 40
    assert seen.body[4:8] == bytes(4)
    assert seen.body[8:] == packet[14 : 14 + head + QUOTED]


@both
@why
@pytest.mark.parametrize("data", [b"", b"odd", bytes(1400)], ids=["empty", "odd", "long"])
def test_refused_at_the_host_side(scene: Scene, protocol: int, reason: Reason, data: bytes) -> None:
    """The packet becomes its own answer, and goes back through the device that it came by."""
    packet = asked(scene, protocol, reason, data)
    outcome = scene.client_sends(packet)
    assert (outcome.reason, outcome.action, outcome.mark) == (reason, REDIRECT, 0)
    check_answer(outcome, scene.net, packet, protocol)
    assert scene.tables.connections() == []


@both
@why
def test_refused_in_the_pod(scene: Scene, protocol: int, reason: Reason) -> None:
    """In the pod the answer is marked, so that the ingress hook lets it in again."""
    scene.furnish_inside()
    packet = asked(scene, protocol, reason)
    outcome = scene.leaves_pod(packet)
    assert (outcome.reason, outcome.action, outcome.mark) == (reason, REDIRECT, TURNED)
    check_answer(outcome, scene.net, packet, protocol)
    again = scene.enters_pod(outcome.packet, mark=outcome.mark)
    assert (again.reason, again.mark, again.packet) == (Reason.PASS_REDIRECTED, 0, outcome.packet)


@only_v4
def test_options_are_not_quoted(scene: Scene) -> None:
    """A datagram with IPv4 options is dropped rather than quoted wrongly."""
    outcome = scene.client_sends(udp(scene.client, End(scene.net.vip, 84), options=b"\x01" * 4))
    assert (outcome.reason, outcome.action) == (Reason.DROP_REWRITE, SHOT)


@only_v6
def test_extensions_are_not_quoted(scene: Scene) -> None:
    """So is one with extension headers."""
    outcome = scene.client_sends(udp(scene.client, End(scene.net.vip, 84), extensions=(PADDING,)))
    assert (outcome.reason, outcome.action) == (Reason.DROP_REWRITE, SHOT)


def test_a_reset_is_not_answered(scene: Scene) -> None:
    """Two who reset each other would never end."""
    outcome = scene.client_sends(tcp(scene.client, End(scene.net.vip, 84), flags=0x04))
    assert (outcome.reason, outcome.action) == (Reason.DROP_REWRITE, SHOT)
