"""Frames of any shape from a pod under a policy: what passes is what its receiver would read as allowed."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.packets.rig import SHOT, Net
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_testing.frames import DESTINATION, FRAGMENT, HOP_OPTIONS, SCTP, TCP, UDP, Fragment, frame

ROUTING, IP4, GRE, ICMP, ICMPV6 = 43, 4, 47, 1, 58
OPEN = 8080
SHORTEST = 54
"""Bytes of a frame that BPF_PROG_TEST_RUN takes: Ethernet and a whole IPv6 header."""
ONLY_OPEN, ALL_BUT_PORTS = 7, 8
"""One set allows TCP to one port and nothing else; the other everything that is neither TCP, UDP nor SCTP."""
NEVER_FILTERED = {(kind, 255) for kind in range(133, 138)} | {(kind, 1) for kind in (130, 131, 132, 143)}
"""
Types of ICMPv6 and their hop limits: routers, neighbours, multicast listeners.

Source: RFC 4890 4.4.1; RFC 4861 section 7.1, RFC 3810 section 5. With another limit they might leave the link.
"""

ports = st.sampled_from([OPEN, 80, 53, 67, 547])
bodies = st.builds(
    lambda source, to, rest: struct.pack("!HH", source, to) + rest, ports, ports, st.binary(max_size=40)
)
messages = st.builds(
    lambda kind, rest: bytes([kind]) + rest, st.integers(0, 255), st.binary(min_size=7, max_size=60)
)
extensions = st.one_of(
    st.tuples(st.sampled_from([HOP_OPTIONS, ROUTING, DESTINATION]), st.integers(0, 2)).map(
        lambda one: (one[0], bytes([one[1]]) + bytes(6 + 8 * one[1]))
    ),
    st.binary(min_size=7, max_size=7).map(lambda rest: (FRAGMENT, rest)),
    st.just((FRAGMENT, bytes(7))),
)
fragments = st.sampled_from([Fragment(0, more=False)] * 3 + [Fragment(0, more=True)]) | st.builds(
    Fragment, st.integers(0, 8191), more=st.booleans()
)
changes = st.lists(st.tuples(st.integers(12, 120), st.integers(0, 255)), max_size=3)


class Reading(NamedTuple):
    """What a receiver makes of a frame: Linux delivers to `protocol`, at `port` where it has ports."""

    source: bytes
    protocol: int
    port: int
    kind: tuple[int, int]
    """The first byte of the transport, an ICMP message's type; and the hop limit."""
    is_fragment: bool


@st.composite
def frames(draw: st.DrawFn, net: Net) -> bytes:
    """A frame of the client or of somebody it pretends to be, some of its bytes written over, perhaps cut."""
    protocol = draw(st.sampled_from([TCP, UDP, SCTP, ICMP, ICMPV6, IP4, GRE]))
    body = draw(messages if protocol in (ICMP, ICMPV6) else bodies)
    source = draw(st.sampled_from([net.client, net.client, net.client, net.other]))
    target = draw(st.sampled_from([net.server, net.outside]))
    made = frame(
        source,
        target,
        protocol,
        body,
        options=draw(st.integers(0, 10).map(lambda words: b"\x01" * (4 * words))),
        ttl=draw(st.sampled_from([1, 64, 255])),
        extensions=draw(st.lists(extensions, max_size=6)),
        fragment=draw(fragments),
    )
    bytes_of = bytearray(made)
    for at, byte in draw(changes):
        if at < len(bytes_of):
            bytes_of[at] = byte
    return bytes(bytes_of[: draw(st.integers(SHORTEST, max(SHORTEST, len(bytes_of))))])


def reading(packet: bytes) -> Reading | None:
    """None: no IP packet, or one that no receiver takes."""
    kind, data = packet[12:14], packet[14:]
    if kind == b"\x08\x00" and data[0] >> 4 == 4:
        return _reading4(data)
    if kind == b"\x86\xdd" and data[0] >> 4 == 6 and len(data) >= 40:
        return _reading6(data)
    return None


def _reading4(data: bytes) -> Reading | None:
    at, word = (data[0] & 0xF) * 4, int.from_bytes(data[6:8], "big")
    return _transport(data, at, data[12:16], data[9:7:-1], is_fragment=bool(word & 0x3FFF)) if at >= 20 else None


def _reading6(data: bytes) -> Reading | None:
    following, at, is_fragment = data[6], 40, False
    while following in (HOP_OPTIONS, ROUTING, DESTINATION, FRAGMENT):
        if at + 8 > len(data):
            return None
        if following == FRAGMENT:
            is_fragment |= bool(int.from_bytes(data[at + 2 : at + 4], "big") & 0xFFF9)
        length = 8 if following == FRAGMENT else (data[at + 1] + 1) * 8
        following, at = data[at], at + length
    return _transport(data, at, data[8:24], bytes((following, data[7])), is_fragment=is_fragment)


def _transport(data: bytes, at: int, source: bytes, head: bytes, *, is_fragment: bool) -> Reading | None:
    protocol, limit = head
    if at + 4 > len(data):
        return None
    port = int.from_bytes(data[at + 2 : at + 4], "big") if protocol in (TCP, UDP, SCTP) else 0
    return Reading(source, protocol, port, (data[at], limit), is_fragment)


def may_pass(packet: bytes, net: Net, chosen: int) -> bool:
    """Whether the policy, straight from its words, lets a receiver have this."""
    read = reading(packet)
    if read is None:
        return packet[12:14] not in (b"\x81\x00", b"\x88\xa8")
    if read.protocol == ICMPV6 and net.version == 6 and read.kind in NEVER_FILTERED and not read.is_fragment:
        return True
    if read.source != net.client.packed:
        return False  # not even DHCP: nobody here asks from the unspecified address
    if read.is_fragment:
        return False
    if chosen == ONLY_OPEN:
        return (read.protocol, read.port) == (TCP, OPEN)
    return read.protocol not in (TCP, UDP, SCTP)


@given(data=st.data(), chosen=st.sampled_from([ONLY_OPEN, ALL_BUT_PORTS]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_hides_in_a_frame(scene: Scene, data: st.DataObject, chosen: int) -> None:
    """Options, extension headers, fragments, cut and changed bytes: none carries through what is denied."""
    scene.tables.clear()
    scene.furnish(client_policy=chosen)
    scene.tables.policy(
        ONLY_OPEN,
        verdict(Direction.EGRESS, allow=False, rule=1, protocol=0),
        verdict(Direction.EGRESS, allow=False, rule=1),
        verdict(Direction.EGRESS, OPEN, 16, allow=True, rule=2),
    )
    scene.tables.policy(
        ALL_BUT_PORTS,
        verdict(Direction.EGRESS, allow=True, rule=3, protocol=0),
        *(verdict(Direction.EGRESS, allow=False, rule=1, protocol=each) for each in (TCP, UDP, SCTP)),
    )
    packet = data.draw(frames(scene.net))
    outcome = scene.client_sends(packet, whole=False)
    assert outcome.action == SHOT or may_pass(packet, scene.net, chosen), (outcome.reason, packet.hex())
