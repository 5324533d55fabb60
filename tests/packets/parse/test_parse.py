"""Bytes to fields: what is found behind options and extension headers, and what is too short."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.packets.rig import SHOT
from tests.packets.scene import Scene, only_v4, only_v6
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import (
    DESTINATION,
    FRAGMENT,
    HOP_OPTIONS,
    TCP,
    Extension,
    Fields,
    Fragment,
    echo,
    icmp,
    tcp,
    udp,
    unreachable,
)

PADDING: Extension = (DESTINATION, b"\x00\x01\x04\x00\x00\x00\x00")
"""Eight bytes of destination options: a PadN."""
LONG: Extension = (HOP_OPTIONS, b"\x01\x01\x0c" + bytes(12))
"""Sixteen bytes of hop-by-hop options."""
ATOMIC: Extension = (FRAGMENT, b"\x00\x00\x00\x00\x00\x00\x07")
"""A fragment header of a whole packet. Source: RFC 6946."""


@only_v4
@pytest.mark.parametrize("options", [b"\x01" * 4, b"\x01" * 40], ids=["one word", "ten words"])
def test_ip4_options_are_skipped(scene: Scene, options: bytes) -> None:
    """A TCP segment behind IPv4 options is translated like any other."""
    outcome = scene.client_sends(tcp(scene.client, scene.vip, options=options))
    assert outcome.reason == Reason.PASS_PEER
    assert (outcome.seen.src, outcome.seen.dst) == (scene.client, scene.server)
    assert outcome.packet[34 : 34 + len(options)] == options


@only_v6
@pytest.mark.parametrize(
    "chain",
    [(PADDING,), (LONG, PADDING), (LONG, PADDING, ATOMIC, PADDING), (ATOMIC,)],
    ids=["one", "two", "four", "atomic fragment"],
)
def test_ip6_extensions_are_skipped(scene: Scene, chain: tuple[Extension, ...]) -> None:
    """A TCP segment behind up to four extension headers is translated like any other."""
    outcome = scene.client_sends(tcp(scene.client, scene.vip, extensions=chain))
    assert outcome.reason == Reason.PASS_PEER
    assert (outcome.seen.src, outcome.seen.dst) == (scene.client, scene.server)


@only_v6
@pytest.mark.parametrize("number", [5, 9])
def test_extensions_cannot_hide_the_transport(scene: Scene, number: int) -> None:
    """Where TCP is denied and all else allowed, a longer chain of headers does not bring TCP through."""
    scene.furnish(client_policy=7)
    scene.tables.policy(
        7,
        verdict(Direction.EGRESS, allow=False, rule=1),
        verdict(Direction.EGRESS, allow=True, rule=2, protocol=0),
    )
    outcome = scene.client_sends(tcp(scene.client, scene.server, extensions=(PADDING,) * number))
    assert outcome.action == SHOT


Maker = Callable[[Scene], bytes]

SHORT: dict[str, tuple[Maker, int]] = {
    "TCP ports": (lambda s: tcp(s.client, s.vip), -17),
    "TCP flags": (lambda s: tcp(s.client, s.vip), -7),
    "UDP ports": (lambda s: udp(s.client, s.vip, b""), -5),
    "ICMP": (lambda s: echo(s.net.client, s.net.server), -5),
}
"""A frame, and where it ends too early. (Test runs refuse what ends in the IP header.)"""


@pytest.mark.parametrize("name", SHORT)
def test_truncated_is_dropped(scene: Scene, name: str) -> None:
    """A packet that ends inside a header that we need is dropped."""
    make, length = SHORT[name]
    whole = make(scene)
    outcome = scene.client_sends(whole[:length])
    assert (outcome.reason, outcome.action) == (Reason.DROP_SHORT, SHOT)


@only_v6
def test_truncated_extension_is_dropped(scene: Scene) -> None:
    """A packet that ends inside an extension header is dropped."""
    whole = tcp(scene.client, scene.vip, extensions=(PADDING,))
    assert scene.client_sends(whole[: 14 + 40 + 3]).reason == Reason.DROP_SHORT


@pytest.mark.parametrize(
    "first", [pytest.param({4: 0x55, 6: 0x40}, id="version"), pytest.param({4: 0x44, 6: 0x00}, id="length")]
)
def test_malformed_head_is_dropped(scene: Scene, first: dict[int, int]) -> None:
    """A header of another version than the frame says, or shorter than it can be, is dropped."""
    packet = bytearray(tcp(scene.client, scene.vip))
    packet[14] = first[scene.net.version]
    assert scene.client_sends(bytes(packet)).reason == Reason.DROP_SHORT


def test_truncated_quote_is_dropped(scene: Scene) -> None:
    """An ICMP error that quotes less than an IP header and ports is dropped."""
    cause = udp(scene.server, scene.client)
    message = unreachable(scene.net.client, scene.net.server, cause, length=23)
    assert scene.client_sends(message).reason == Reason.DROP_SHORT


OF_LINK = [(130, 1), (133, 255), (134, 255), (135, 255), (136, 255), (143, 1)]
"""Multicast listeners, routers, neighbours, and the hop limit they are sent with."""


@only_v6
@pytest.mark.parametrize(("kind", "limit"), OF_LINK)
def test_neighbour_discovery_is_no_way_round_policy(scene: Scene, kind: int, limit: int) -> None:
    """With a hop limit that leads off the link, or in fragments, it is judged like any other packet."""
    scene.furnish(client_policy=7)
    for ip in (Fields(ttl=64), Fields(ttl=limit, fragment=Fragment(0, more=True))):
        outcome = scene.client_sends(icmp(scene.net.client, scene.net.server, kind, 0, bytes(20), **ip))
        assert outcome.action == SHOT


def test_port_of_an_echo_is_its_identifier(scene: Scene) -> None:
    """Two pings of one pod to another are two connections."""
    for identifier in (1, 2):
        scene.client_sends(echo(scene.net.client, scene.net.server, identifier=identifier))
    assert len(scene.tables.connections()) == 2
    assert {each.protocol for each in scene.tables.connections()} == {scene.net.icmp}
    assert TCP not in {each.protocol for each in scene.tables.connections()}
