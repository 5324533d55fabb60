"""
Nothing is read behind the end of the IP packet: what a frame holds there, its receiver never sees.

Each frame here says one thing inside its IP length and another in the bytes that follow.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.packets.rig import SHOT, UNSPEC, Net
from tests.packets.scene import Scene, only_v4, only_v6
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import (
    ACK,
    SYN,
    TCP,
    Extension,
    Fragment,
    echo,
    frame,
    icmp,
    sctp,
    tcp,
    udp,
    unreachable,
)

HEAD = {4: 20, 6: 40}
ROUTING = 43


def says(packet: bytes, length: int) -> bytes:
    """The frame with another IP length than it has, from the first byte of its IP header on."""
    v4 = packet[12:14] == b"\x08\x00"
    at, value = (16, length) if v4 else (18, length - 40)
    return packet[:at] + struct.pack("!H", value) + packet[at + 2 :]


def allow_all(scene: Scene) -> None:
    """The client is under a policy that allows everything."""
    scene.furnish(client_policy=7)
    for direction in Direction:
        for protocol in (TCP, 17, 132, 0):
            scene.tables.policy(7, verdict(direction, allow=True, rule=1, protocol=protocol))


Make = Callable[[Scene], bytes]
HEADERS: dict[str, tuple[Make, int]] = {
    "TCP flags": (lambda s: tcp(s.client, s.server, ACK), 13),
    "TCP window": (lambda s: tcp(s.client, s.server, ACK), 19),
    "UDP ports": (lambda s: udp(s.client, s.server), 3),
    "UDP checksum": (lambda s: udp(s.client, s.server), 7),
    "SCTP tag": (lambda s: sctp(s.client, s.server), 8),
    "ICMP identifier": (lambda s: echo(s.net.client, s.net.server), 4),
}
"""A frame, and how many bytes of its transport header are inside the IP length."""

everywhere = pytest.mark.parametrize(
    ("program", "at"),
    [(programs.HOST_FROM, "hosta"), (programs.GUARD_FROM, "hosta")],
    ids=["tc", "guard"],
)


@everywhere
@pytest.mark.parametrize("name", HEADERS)
def test_header_behind_the_end(scene: Scene, name: str, program: programs.Program, at: str) -> None:
    """A transport header that the IP length cuts off is not completed by the padding."""
    make, length = HEADERS[name]
    allow_all(scene)
    packet = make(scene)
    assert scene.rig.run(program, packet, at).action != SHOT
    cut = says(packet, HEAD[scene.net.version] + length)
    outcome = scene.rig.run(program, cut, at, whole=False)
    assert (outcome.reason, outcome.action) == (Reason.DROP_SHORT, SHOT)


@pytest.mark.parametrize("inwards", [False, True], ids=["from the pod", "to the pod"])
def test_flags_in_the_padding(scene: Scene, inwards: bool) -> None:
    """The guard does not take a SYN for a segment that goes on because its padding says ACK."""
    scene.furnish(client_policy=7)
    ends = (scene.server, scene.client) if inwards else (scene.client, scene.server)
    program = programs.GUARD_TO if inwards else programs.GUARD_FROM
    cut = says(tcp(*ends, ACK), HEAD[scene.net.version] + 8)
    assert scene.rig.run(program, cut, "hosta", whole=False).reason == Reason.DROP_SHORT


def test_first_fragment_of_half_a_header(scene: Scene) -> None:
    """A first fragment of eight bytes, with an ACK behind its end, is dropped. Source: RFC 1858."""
    head = tcp(scene.client, scene.server, SYN)[14 + HEAD[scene.net.version] :][:8]
    net = scene.net
    made = frame(net.client, net.server, TCP, head, fragment=Fragment(0, more=True))
    for program in (programs.HOST_FROM, programs.GUARD_FROM):
        outcome = scene.rig.run(program, made + b"\0\0\0\0\x50\x10" + bytes(12), "hosta", whole=False)
        assert (outcome.reason, outcome.action) == (Reason.DROP_SHORT, SHOT)


def test_length_behind_the_frame(scene: Scene) -> None:
    """A packet that says that it is longer than its frame is taken by nobody, so it is dropped."""
    packet = udp(scene.client, scene.server)
    outcome = scene.client_sends(says(packet, len(packet) - 14 + 1), whole=False)
    assert (outcome.reason, outcome.action) == (Reason.DROP_SHORT, SHOT)


def test_padding_is_no_fault(scene: Scene) -> None:
    """What is padded to the 60 bytes of Ethernet's shortest frame passes."""
    packet = udp(scene.client, scene.server, b"") + bytes(18)
    assert scene.client_sends(packet, whole=False).reason == Reason.PASS_PEER


@only_v4
def test_options_behind_the_end(scene: Scene) -> None:
    """IPv4 options that the total length cuts off are not read, whatever the protocol."""
    packet = frame(scene.net.client, scene.net.server, 47, bytes(20), options=b"\x01" * 12)
    outcome = scene.client_sends(says(packet, 28), whole=False)
    assert (outcome.reason, outcome.action) == (Reason.DROP_SHORT, SHOT)


@only_v6
def test_extension_behind_the_end(scene: Scene) -> None:
    """An extension header that the payload length cuts off is not read."""
    packet = tcp(scene.client, scene.server, extensions=((60, b"\x00" + bytes(6)),))
    for length in (40 + 4, 40 + 8, 40 + 8 + 13):
        assert scene.client_sends(says(packet, length), whole=False).reason == Reason.DROP_SHORT


@only_v6
@pytest.mark.parametrize(("left", "action"), [(0, UNSPEC), (1, SHOT)], ids=["there", "on its way"])
def test_routing_header(scene: Scene, left: int, action: int) -> None:
    """A packet that its receiver is to send on to somebody else cannot be judged by its destination."""
    allow_all(scene)
    routing: Extension = (ROUTING, bytes((0, 4, left)) + bytes(4))
    packet = udp(scene.client, scene.server, extensions=(routing,))
    assert scene.rig.run(programs.GUARD_FROM, packet, "hosta").action == action


def test_quote_behind_the_end(scene: Scene, net: Net) -> None:
    """What an ICMP error quotes ends with the error: ports in the padding are not a connection's."""
    cause = udp(scene.server, scene.client)
    scene.server_sends(cause)
    message = unreachable(net.client, net.server, cause)
    assert scene.client_sends(message).reason == Reason.PASS_PEER
    cut = says(message, 2 * HEAD[net.version] + 8 + 3)
    assert scene.client_sends(cut, whole=False).reason == Reason.DROP_SHORT


def test_quote_may_be_cut_off(scene: Scene, net: Net) -> None:
    """A quoted packet says the length that it had, which is longer than the quote."""
    cause = udp(scene.server, scene.client, bytes(1200))
    scene.server_sends(cause)
    assert scene.client_sends(unreachable(net.client, net.server, cause)).reason == Reason.PASS_PEER


@only_v6
def test_jumbo_has_no_length(scene: Scene) -> None:
    """The kernel's own packets beyond 64 KiB bear no length, and are judged by what they hold."""
    options: Extension = (0, b"\x00\xc2\x04" + struct.pack("!I", 20))
    packet = tcp(scene.client, scene.server, extensions=(options,))
    assert scene.client_sends(says(packet, 40), segments=2, whole=False).reason == Reason.PASS_PEER


def test_message_without_its_head(scene: Scene, net: Net) -> None:
    """An ICMP message that ends before its eighth byte is dropped, though the frame goes on."""
    packet = icmp(net.client, net.server, 3 if net.version == 4 else 1, 0, bytes(60))
    assert scene.client_sends(says(packet, HEAD[net.version] + 7), whole=False).reason == Reason.DROP_SHORT
