"""
The guard at a pod's device, beside policy at its sockets: what no socket answers for.

It drops beginnings and packets that are denied and answer nothing; what goes on is the sockets' to decide.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from tests.packets.rig import SHOT, UNSPEC, Net, Outcome
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import (
    ACK,
    FIN,
    RST,
    SYN,
    TCP,
    UDP,
    End,
    Fragment,
    echo,
    frame,
    sctp,
    tcp,
    udp,
    unreachable,
)

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
DENIED = {INGRESS: Reason.DROP_POLICY_INGRESS, EGRESS: Reason.DROP_POLICY_EGRESS}
SET = 7
EVERY = (TCP, UDP, 132, 0)
each_way = pytest.mark.parametrize("direction", list(Direction), ids=["to the pod", "from the pod"])
Meet = Callable[[bytes], Outcome]


def leaves(scene: Scene) -> Meet:
    """Meet what the client sends, at its host side."""
    return lambda packet: scene.rig.run(programs.GUARD_FROM, packet, "hosta")


def enters(scene: Scene) -> Meet:
    """Meet what is for the client, at its host side."""
    return lambda packet: scene.rig.run(programs.GUARD_TO, packet, "hosta")


def meets(scene: Scene, direction: Direction) -> tuple[Meet, End, End]:
    """Where packets of a direction are met, and the ends that they go between."""
    if direction == EGRESS:
        return leaves(scene), scene.client, scene.server
    return enters(scene), scene.server, scene.client


def allow(scene: Scene, *open_ways: Direction) -> None:
    """The client is under a policy that allows everything in these directions, and nothing else."""
    scene.furnish(client_policy=SET)
    for direction in Direction:
        for protocol in EVERY:
            entry = verdict(direction, allow=direction in open_ways, rule=40 + direction, protocol=protocol)
            scene.tables.policy(SET, entry)


def untouched(outcome: Outcome, packet: bytes) -> bool:
    """Whether a packet went on as it was."""
    return (outcome.reason, outcome.action, outcome.packet) == (Reason.GO_ON, UNSPEC, packet)


@each_way
@pytest.mark.parametrize("begin", [tcp, sctp], ids=["tcp", "sctp"])
def test_denied_beginning_is_dropped(
    scene: Scene, direction: Direction, begin: Callable[[End, End], bytes]
) -> None:
    """A SYN or INIT is judged in its own direction alone, and counted for the rule that denies it."""
    meet, src, dst = meets(scene, direction)
    allow(scene, direction)
    assert untouched(meet(begin(src, dst)), begin(src, dst))
    allow(scene, INGRESS if direction == EGRESS else EGRESS)
    before = scene.tables.denied(40 + direction)
    outcome = meet(begin(src, dst))
    assert (outcome.reason, outcome.action) == (DENIED[direction], SHOT)
    assert scene.tables.denied(40 + direction) == before + 1
    assert ((src if direction == EGRESS else dst).address, direction) in scene.tables.denied_to(40 + direction)


@pytest.mark.parametrize("flags", [0, ACK, SYN | ACK, FIN | ACK, RST])
def test_segment_of_no_connection(scene: Scene, flags: int) -> None:
    """What begins nothing and is of nothing that the pod's kernel keeps passes where it could have begun."""
    packet = tcp(scene.server, scene.client, flags)
    for way in Direction:
        allow(scene, way)
        assert (enters(scene)(packet).action == UNSPEC) == (way == INGRESS)


@pytest.mark.parametrize("flags", [0, ACK, SYN | ACK, FIN | ACK, RST])
def test_made_up_segment_is_judged(scene: Scene, flags: int) -> None:
    """What no connection of the pod's kernel sends may only go where one could have been opened."""
    packet = tcp(scene.client, scene.server, flags)
    for way in Direction:
        allow(scene, way)
        assert (leaves(scene)(packet).action == UNSPEC) == (way == EGRESS)


def test_reset_answers_what_was_let_in(scene: Scene) -> None:
    """The refusal of a closed port leaves a pod that may open nothing, for whom it let in, and nobody else."""
    allow(scene, INGRESS)
    refusal = tcp(scene.client, scene.server, RST | ACK)
    assert leaves(scene)(refusal).reason == DENIED[EGRESS]
    enters(scene)(tcp(scene.server, scene.client))
    assert untouched(leaves(scene)(refusal), refusal)
    for other in (End(scene.net.other, scene.server.port), End(scene.net.server, 1)):
        assert leaves(scene)(tcp(scene.client, other, RST | ACK)).reason == DENIED[EGRESS]
    allow(scene)
    assert leaves(scene)(refusal).reason == DENIED[EGRESS]


def within(scene: Scene) -> Meet:
    """Meet what comes to the client's own loopback."""
    return lambda packet: scene.rig.run(programs.GUARD_LO, packet, "hosta")


STRANGE = [SYN, SYN | FIN, SYN | RST]
"""Flags of segments that begin."""


@pytest.mark.parametrize("flags", STRANGE)
def test_stranger_on_the_loopback(scene: Scene, net: Net, flags: int) -> None:
    """Nobody else begins a connection with a pod under a policy there, whatever the policy allows."""
    allow(scene, *Direction)
    for stranger in (scene.server, End(net.outside, 4000), End(net.node, 1)):
        outcome = within(scene)(tcp(stranger, scene.client, flags))
        assert (outcome.reason, outcome.action) == (Reason.DROP_SPOOFED, SHOT)
        head = tcp(stranger, scene.client, flags, bytes(80), fragment=Fragment(0, more=True))
        rest = frame(stranger.address, scene.client.address, TCP, bytes(8), fragment=Fragment(1, more=False))
        for packet in (head, rest):
            assert within(scene)(packet).reason == Reason.DROP_SPOOFED


def test_pod_on_its_loopback(scene: Scene, net: Net) -> None:
    """The pod itself does, by each of its addresses, and a pod without a policy is left alone."""
    allow(scene)
    second = ip_address("10.1.0.55" if net.version == 4 else "fd00:1::55")
    scene.tables.pod(second, scene.rig.behind("hosta"))
    loopback = ip_address("127.0.0.6" if net.version == 4 else "::6")
    for own in (scene.client.address, second, loopback):
        packet = tcp(End(own, 1), scene.client)
        assert untouched(within(scene)(packet), packet)
    scene.furnish()
    packet = tcp(scene.server, scene.client)
    assert untouched(within(scene)(packet), packet)


def echoing(src: End, dst: End) -> bytes:
    """An echo request."""
    return echo(src.address, dst.address, identifier=5)


def echoing_back(src: End, dst: End) -> bytes:
    """Its reply."""
    return echo(src.address, dst.address, identifier=5, reply=True)


def associated(src: End, dst: End) -> bytes:
    """A chunk of an SCTP association that is under way."""
    return sctp(src, dst, 0)


def of_protocol(protocol: int) -> Callable[[End, End], bytes]:
    """A packet of a protocol without ports."""
    return lambda src, dst: frame(src.address, dst.address, protocol, bytes(20))


TALKS = {
    "udp": (udp, udp),
    "echo": (echoing, echoing_back),
    "sctp": (associated, associated),
    **{
        name: (of_protocol(number),) * 2 for name, number in (("ipip", 4), ("gre", 47), ("esp", 50), ("lite", 136))
    },
}
"""What is said and what answers it, of each kind that no connection is kept of."""
each_talk = pytest.mark.parametrize(("say", "answer"), TALKS.values(), ids=TALKS)
Say = Callable[[End, End], bytes]


@each_way
@each_talk
def test_is_judged_in_its_own_direction(scene: Scene, direction: Direction, say: Say, answer: Say) -> None:
    """What nobody asked for passes where its direction is open, and vanishes where it is not."""
    meet, src, dst = meets(scene, direction)
    allow(scene, direction)
    for packet in (say(src, dst), answer(src, dst)):
        assert untouched(meet(packet), packet)
    allow(scene, INGRESS if direction == EGRESS else EGRESS)
    scene.tables.maps["udp"].remove(scene.tables.maps["udp"].entries())
    for packet in (say(src, dst), answer(src, dst)):
        outcome = meet(packet)
        assert (outcome.reason, outcome.action) == (DENIED[direction], SHOT)


@each_way
@each_talk
def test_answer_passes(scene: Scene, direction: Direction, say: Say, answer: Say) -> None:
    """Between two ends, and those alone, what was said in the open direction may be answered in the other."""
    (meet, src, dst), (meet_answer, *_) = meets(scene, direction), meets(scene, Direction(1 - direction))
    allow(scene, direction)
    back = answer(dst, src)
    assert meet_answer(back).reason == DENIED[Direction(1 - direction)]
    meet(say(src, dst))
    assert untouched(meet_answer(back), back)
    other = End(scene.net.other, dst.port)
    wrong = answer(other, src) if direction == EGRESS else answer(dst, other)
    assert meet_answer(wrong).reason == DENIED[Direction(1 - direction)]
    # an answer of another kind is none
    for kind in of_protocol(89), of_protocol(103):
        assert meet_answer(kind(dst, src)).reason == DENIED[Direction(1 - direction)]


@each_way
def test_answer_is_between_the_same_ports(scene: Scene, direction: Direction) -> None:
    """Another port, or another echo identifier, was not asked."""
    (meet, src, dst), (meet_answer, *_) = meets(scene, direction), meets(scene, Direction(1 - direction))
    allow(scene, direction)
    for say in (udp, associated, echoing):
        meet(say(src, dst))
    for other in (
        udp(End(dst.address, dst.port + 1), src),
        udp(dst, End(src.address, src.port + 1)),
        associated(End(dst.address, dst.port + 1), src),
        echo(dst.address, src.address, identifier=6, reply=True),
    ):
        assert meet_answer(other).reason == DENIED[Direction(1 - direction)]


@each_way
def test_answers_go_on(scene: Scene, direction: Direction) -> None:
    """Answers pass for as long as the stream does not pause, though nobody speaks in the open direction."""
    (meet, src, dst), (meet_answer, *_) = meets(scene, direction), meets(scene, Direction(1 - direction))
    allow(scene, direction)
    meet(udp(src, dst))
    answer = udp(dst, src)
    for _ in range(3):
        scene.tables.age_notes(175)
        assert untouched(meet_answer(answer), answer)
    scene.tables.age_notes(185)
    assert meet_answer(answer).reason == DENIED[Direction(1 - direction)]


@each_way
def test_port_of_a_datagram_is_the_servers(scene: Scene, direction: Direction) -> None:
    """Outwards the peer's port is what egress speaks of, inwards the pod's own is what ingress does."""
    meet, src, dst = meets(scene, direction)
    allow(scene)
    port = scene.server.port if direction == EGRESS else scene.client.port
    packet = udp(src, dst)
    for open_, action in ((True, UNSPEC), (False, SHOT)):
        scene.tables.policy(SET, verdict(direction, port, 16, allow=open_, rule=1, protocol=UDP))
        assert meet(packet).action == action


def test_error_answers_what_was_said(scene: Scene, net: Net) -> None:
    """The pod tells whom it heard what became of that, and hears what became of its own, from anybody."""
    asked, said = udp(scene.server, scene.client), udp(scene.client, scene.server)
    refusal, report = unreachable(net.client, net.server, asked), unreachable(net.outside, net.client, said)
    allow(scene, INGRESS)
    assert leaves(scene)(refusal).reason == DENIED[EGRESS]
    enters(scene)(asked)
    assert untouched(leaves(scene)(refusal), refusal)
    allow(scene, EGRESS)
    assert enters(scene)(report).reason == DENIED[INGRESS]
    leaves(scene)(said)
    assert untouched(enters(scene)(report), report)
    allow(scene)
    assert leaves(scene)(refusal).reason == DENIED[EGRESS]
    assert enters(scene)(report).reason == DENIED[INGRESS]


def test_error_about_a_beginning(scene: Scene, net: Net) -> None:
    """A beginning that was let in may be refused by an error, too."""
    allow(scene, INGRESS)
    begins = tcp(scene.server, scene.client)
    refusal = unreachable(net.client, net.server, begins)
    assert leaves(scene)(refusal).reason == DENIED[EGRESS]
    enters(scene)(begins)
    assert untouched(leaves(scene)(refusal), refusal)


def test_error_about_a_stranger(scene: Scene, net: Net) -> None:
    """To somebody else than it quotes, or about what was not for the pod, an error tells anything to anybody."""
    allow(scene, INGRESS)
    asked = udp(scene.server, scene.client)
    enters(scene)(asked)
    for message in (
        unreachable(net.client, net.outside, asked),
        unreachable(net.client, net.server, udp(scene.server, End(net.other, 4000))),
        unreachable(net.client, net.server, tcp(scene.server, scene.client, ACK)),
    ):
        assert leaves(scene)(message).reason == DENIED[EGRESS]
    allow(scene, EGRESS)
    leaves(scene)(udp(scene.client, scene.server))
    for message in (
        unreachable(net.outside, net.client, udp(End(net.other, 4000), scene.server)),
        unreachable(net.outside, net.client, tcp(scene.client, scene.server, ACK)),
    ):
        assert enters(scene)(message).reason == DENIED[INGRESS]


@each_way
def test_error_is_a_packet_like_others(scene: Scene, net: Net, direction: Direction) -> None:
    """One about nothing that is there passes where ICMP may begin."""
    allow(scene, direction)
    meet, src, dst = meets(scene, direction)
    message = unreachable(src.address, dst.address, tcp(End(net.outside, 1), End(net.away, 2), ACK))
    assert untouched(meet(message), message)


def test_error_that_quotes_too_little(scene: Scene, net: Net) -> None:
    """One that does not say which packet it is about is dropped."""
    allow(scene, *Direction)
    message = unreachable(net.client, net.server, udp(scene.server, scene.client), length=23)
    assert leaves(scene)(message).reason == Reason.DROP_SHORT


def parts(src: End, dst: End, data: int = 80) -> tuple[bytes, bytes]:
    """A datagram in two: its head, and the rest."""
    head = udp(src, dst, bytes(data), fragment=Fragment(0, more=True))
    return head, frame(src.address, dst.address, UDP, bytes(80), fragment=Fragment(11, more=False))


@each_way
def test_rest_follows_its_head(scene: Scene, direction: Direction) -> None:
    """What follows the head of a datagram passes after it, between the same two alone."""
    meet, src, dst = meets(scene, direction)
    allow(scene, direction)
    head, rest = parts(src, dst)
    assert meet(rest).reason == Reason.DROP_FRAGMENT
    assert untouched(meet(head), head)
    assert untouched(meet(rest), rest)
    other = End(scene.net.other)
    _, stray = parts(src, other) if direction == EGRESS else parts(other, dst)
    assert meet(stray).reason == Reason.DROP_FRAGMENT


@each_way
def test_denied_head_has_no_rest(scene: Scene, direction: Direction) -> None:
    """The head of a datagram is judged, and what follows a denied one carries nothing to anybody."""
    meet, src, dst = meets(scene, direction)
    allow(scene)
    head, rest = parts(src, dst)
    assert meet(head).reason == DENIED[direction]
    assert meet(rest).reason == Reason.DROP_FRAGMENT


@each_way
def test_pod_without_policy(scene: Scene, direction: Direction) -> None:
    """A pod that no policy selects is left alone, in and out."""
    meet, src, dst = meets(scene, direction)
    for packet in (tcp(src, dst), udp(src, dst), echo(src.address, dst.address)):
        assert untouched(meet(packet), packet)


def test_node_reaches_its_pods(scene: Scene, net: Net) -> None:
    """The node's own address begins what it likes, and pings."""
    allow(scene)
    node = End(net.node, 99)
    for packet in (tcp(node, scene.client), udp(node, scene.client), echo(net.node, net.client)):
        assert untouched(enters(scene)(packet), packet)


@pytest.mark.parametrize("make", [tcp, udp])
def test_foreign_source_is_dropped(scene: Scene, net: Net, make: Callable[[End, End], bytes]) -> None:
    """A pod speaks with its own address here, too, whether a policy selects it or not."""
    for liar in (
        scene.server,
        End(net.outside, 4000),
        End(ip_address("0.0.0.0" if net.version == 4 else "::"), 1),
    ):
        assert leaves(scene)(make(liar, End(net.away, 80))).reason == Reason.DROP_SPOOFED


def test_stamp_tells_pods_apart(scene: Scene, net: Net) -> None:
    """Where the guard is in the pods' own namespaces, one pod's packets are not another's."""
    scene.furnish_inside()
    scene.tables.pod(net.other, scene.rig.behind("other eth0"))
    packet = tcp(End(net.other, 1), End(net.away, 80))
    assert scene.rig.run(programs.GUARD_FROM, packet, "eth0").reason == Reason.DROP_SPOOFED
    assert untouched(scene.rig.run(programs.GUARD_FROM, packet, "other eth0"), packet)


def test_short_packet_is_dropped(scene: Scene) -> None:
    """A packet that ends inside its headers is dropped, in and out."""
    assert leaves(scene)(tcp(scene.client, scene.server)[:-10]).reason == Reason.DROP_SHORT
    assert enters(scene)(tcp(scene.server, scene.client)[:-10]).reason == Reason.DROP_SHORT
    assert within(scene)(tcp(scene.server, scene.client)[:-10]).reason == Reason.DROP_SHORT


def _denied(scene: Scene, direction: Direction) -> Outcome:
    allow(scene)
    meet, src, dst = meets(scene, direction)
    return meet(tcp(src, dst))


REACHED: dict[Reason, Callable[[Scene], Outcome]] = {
    Reason.DROP_SHORT: lambda s: leaves(s)(tcp(s.client, s.server)[:-10]),
    Reason.DROP_SPOOFED: lambda s: leaves(s)(tcp(s.server, s.client)),
    Reason.DROP_NOT_IP: lambda s: leaves(s)(bytes(12) + b"\x12\x34" + bytes(60)),
    Reason.DROP_POLICY_INGRESS: lambda s: _denied(s, INGRESS),
    Reason.DROP_POLICY_EGRESS: lambda s: _denied(s, EGRESS),
    Reason.DROP_FRAGMENT: lambda s: _denied(s, EGRESS) and leaves(s)(parts(s.client, s.server)[1]),
}
"""A packet for each reason that the guard can give."""


@pytest.mark.parametrize("reason", REACHED, ids=lambda reason: reason.name.lower())
def test_is_reached(scene: Scene, reason: Reason) -> None:
    """A packet gets there, and is dropped."""
    outcome = REACHED[reason](scene)
    assert (outcome.reason, outcome.action) == (reason, SHOT)
