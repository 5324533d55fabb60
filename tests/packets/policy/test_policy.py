"""Two look-ups decide: the class of the peer, then the verdict of the pod's own set."""

from __future__ import annotations

import pytest

from tests.packets.rig import HOST_MAC, SHOT, Net, Outcome
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.tables.layout import CtFlag, Reason
from twinway_testing.frames import ACK, SCTP, SYN, TCP, UDP, End, echo, sctp, tcp, udp

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
CLIENTS_SET, SERVERS_SET = 7, 9
both_ways = pytest.mark.parametrize(
    ("direction", "reason"), [(EGRESS, Reason.DROP_POLICY_EGRESS), (INGRESS, Reason.DROP_POLICY_INGRESS)]
)


def put_under(scene: Scene, direction: Direction) -> int:
    """One end of client → server is under a policy; its set."""
    if direction == EGRESS:
        scene.furnish(client_policy=CLIENTS_SET)
        return CLIENTS_SET
    scene.furnish(server_policy=SERVERS_SET)
    return SERVERS_SET


def peer_of(scene: Scene, direction: Direction) -> str:
    """Whom that end has to do with."""
    return str(scene.net.server if direction == EGRESS else scene.net.client)


def passes(outcome: Outcome) -> bool:
    """Whether a packet goes on."""
    return outcome.action != SHOT


@both_ways
def test_denied_under_its_rule(scene: Scene, direction: Direction, reason: Reason) -> None:
    """What is denied is dropped in silence, leaves nothing behind, and is counted for rule and pod."""
    chosen = put_under(scene, direction)
    rule = 0xFEDC_BA98_0000_0000 + scene.net.version * 16 + direction
    scene.tables.policy(chosen, verdict(direction, allow=False, rule=rule))
    for times in (1, 2):
        outcome = scene.client_sends(tcp(scene.client, scene.server))
        assert (outcome.reason, outcome.action) == (reason, SHOT)
        assert scene.tables.denied(rule) == times
    end = scene.client if direction == EGRESS else scene.server
    assert scene.tables.denied_to(rule) == {(end.address, direction)}
    assert scene.tables.connections() == []


@both_ways
def test_allowed(scene: Scene, direction: Direction, reason: Reason) -> None:
    """What is allowed goes on, and is known from then on."""
    chosen = put_under(scene, direction)
    scene.tables.policy(chosen, verdict(direction, allow=True, rule=3))
    assert scene.client_sends(tcp(scene.client, scene.server)).reason == Reason.PASS_PEER
    assert len(scene.tables.connections()) == 1


@both_ways
def test_nothing_said_is_denied(scene: Scene, direction: Direction, reason: Reason) -> None:
    """A set without an answer denies, under no rule: what is not yet written is closed."""
    put_under(scene, direction)
    before = scene.tables.denied(0)
    assert scene.client_sends(tcp(scene.client, scene.server)).reason == reason
    assert scene.tables.denied(0) == before + 1


@both_ways
def test_class_of_the_peer_decides(scene: Scene, direction: Direction, reason: Reason) -> None:
    """The longest prefix names the peer's class; a class that the set does not speak of is class 0."""
    chosen = put_under(scene, direction)
    scene.tables.policy(chosen, verdict(direction, allow=False, rule=1))
    scene.tables.policy(chosen, verdict(direction, allow=True, rule=2, peer=5))
    peer = peer_of(scene, direction)
    around = "10.0.0.0/8" if scene.net.version == 4 else "fd00::/8"
    packet = tcp(scene.client, scene.server)
    assert scene.client_sends(packet).reason == reason  # no class at all
    scene.tables.classify(around, 5)
    assert passes(scene.client_sends(packet))
    _start_anew(scene, direction)
    scene.tables.classify(peer, 6)
    assert scene.client_sends(packet).reason == reason  # a class that the set does not know
    scene.tables.policy(chosen, verdict(direction, allow=True, rule=3, peer=6))
    assert passes(scene.client_sends(packet))


def _start_anew(scene: Scene, direction: Direction) -> None:
    for each in scene.tables.connections():
        scene.tables.forget(each)
    put_under(scene, direction)


@both_ways
def test_generation_of_the_pod_picks_the_class(scene: Scene, direction: Direction, reason: Reason) -> None:
    """A class entry says two ids; which one counts is written beside the pod's set."""
    chosen = put_under(scene, direction)
    scene.tables.policy(chosen, verdict(direction, allow=False, rule=1, peer=5))
    scene.tables.policy(chosen, verdict(direction, allow=True, rule=2, peer=6))
    scene.tables.classify(peer_of(scene, direction), 5, 6)
    packet = tcp(scene.client, scene.server)
    assert scene.client_sends(packet).reason == reason
    pod, device = (scene.net.client, "hosta") if direction == EGRESS else (scene.net.server, "hostb")
    scene.tables.pod(pod, scene.rig.behind(device), policy=chosen, generation=1)
    assert passes(scene.client_sends(packet))


@both_ways
@pytest.mark.parametrize(
    ("port", "bits", "inside", "outside"),
    [
        (8080, 16, (8080,), (8079, 8081, 0)),
        (8064, 10, (8064, 8127), (8063, 8128)),
        (0x8000, 1, (0x8000, 0xFFFF), (0x7FFF, 1)),
    ],
    ids=["one port", "64 ports", "upper half"],
)
def test_ports_by_prefix(  # noqa: PLR0917 (a table of cases)
    scene: Scene,
    direction: Direction,
    reason: Reason,
    port: int,
    bits: int,
    inside: tuple[int, ...],
    outside: tuple[int, ...],
) -> None:
    """The longest prefix of the server's port decides, bit by bit."""
    chosen = put_under(scene, direction)
    scene.tables.policy(
        chosen,
        verdict(direction, allow=False, rule=1),
        verdict(direction, port, bits, allow=True, rule=2),
    )
    for number in inside:
        assert passes(scene.client_sends(tcp(scene.client, End(scene.net.server, number))))
    for number in outside:
        assert scene.client_sends(tcp(scene.client, End(scene.net.server, number))).reason == reason


@both_ways
@pytest.mark.parametrize("protocol", [TCP, UDP, SCTP, 0], ids=["tcp", "udp", "sctp", "other"])
def test_protocols_apart(scene: Scene, direction: Direction, reason: Reason, protocol: int) -> None:
    """What allows one protocol allows no other; all that have no ports are one."""
    chosen = put_under(scene, direction)
    for each in (TCP, UDP, SCTP, 0):
        scene.tables.policy(chosen, verdict(direction, allow=each == protocol, rule=1, protocol=each))
    packets = {
        TCP: tcp(scene.client, scene.server),
        UDP: udp(scene.client, scene.server),
        SCTP: sctp(scene.client, scene.server),
        0: echo(scene.net.client, scene.net.server),
    }
    allowed = {each for each, packet in packets.items() if passes(scene.client_sends(packet))}
    assert allowed == {protocol}


@both_ways
def test_judged_after_translation(scene: Scene, direction: Direction, reason: Reason) -> None:
    """Policy speaks of backends: of their addresses and ports, never of the Service's."""
    chosen = put_under(scene, direction)
    scene.tables.classify(peer_of(scene, direction), 5)
    scene.tables.classify(str(scene.net.vip), 6)
    scene.tables.policy(chosen, verdict(direction, 8080, 16, allow=True, rule=1, peer=5))
    assert passes(scene.open())
    for each in scene.tables.connections():
        scene.tables.forget(each)
    scene.tables.policy(chosen, verdict(direction, 8080, 16, allow=False, rule=2, peer=5))
    scene.tables.policy(chosen, verdict(direction, 80, 16, allow=True, rule=3, peer=6))
    scene.tables.policy(chosen, verdict(direction, 80, 16, allow=True, rule=3, peer=5))
    assert scene.open().reason == reason


def test_both_ends_have_a_say(scene: Scene) -> None:
    """Between two pods of one node the client's egress and the server's ingress must both allow."""
    for egress, ingress, reason in (
        (True, True, Reason.PASS_PEER),
        (False, True, Reason.DROP_POLICY_EGRESS),
        (True, False, Reason.DROP_POLICY_INGRESS),
    ):
        scene.tables.clear()
        scene.furnish(client_policy=CLIENTS_SET, server_policy=SERVERS_SET)
        scene.tables.policy(CLIENTS_SET, verdict(EGRESS, allow=egress, rule=1))
        scene.tables.policy(SERVERS_SET, verdict(INGRESS, allow=ingress, rule=2))
        assert scene.open().reason == reason


def test_answers_always_pass(scene: Scene) -> None:
    """Neither the server's egress nor the client's ingress is asked about the answer."""
    scene.furnish(client_policy=CLIENTS_SET, server_policy=SERVERS_SET)
    for chosen, open_way in ((CLIENTS_SET, EGRESS), (SERVERS_SET, INGRESS)):
        for direction in Direction:
            scene.tables.policy(chosen, verdict(direction, allow=direction == open_way, rule=1))
    scene.open()
    assert passes(scene.server_sends(scene.answer()))
    assert passes(scene.stack_sends(scene.answer()))
    opened_by_server = scene.server_sends(tcp(scene.server, scene.client, SYN))
    assert opened_by_server.reason == Reason.DROP_POLICY_EGRESS


@pytest.mark.parametrize("where", ["arrives", "stack_sends", "enters_pod"])
def test_ingress_from_elsewhere(scene: Scene, net: Net, where: str) -> None:
    """At the uplink, at the host side and in the pod, what comes in is judged."""
    scene.furnish(client_policy=CLIENTS_SET)
    scene.tables.policy(CLIENTS_SET, verdict(INGRESS, allow=False, rule=1))
    scene.tables.policy(CLIENTS_SET, verdict(INGRESS, 4000, 16, allow=True, rule=2))
    meet = getattr(scene, where)
    assert passes(meet(tcp(End(net.outside, 99), scene.client)))
    assert meet(tcp(End(net.outside, 99), End(net.client, 4001))).reason == Reason.DROP_POLICY_INGRESS


@pytest.mark.parametrize("where", ["stack_sends", "enters_pod"])
def test_node_reaches_its_pods(scene: Scene, net: Net, where: str) -> None:
    """The node's own address passes into its pods whatever policy says; no other does."""
    scene.furnish(client_policy=CLIENTS_SET)
    scene.tables.policy(CLIENTS_SET, verdict(INGRESS, allow=False, rule=1))
    meet = getattr(scene, where)
    packet = tcp(End(net.node, 99), scene.client)
    assert passes(meet(packet[:6] + HOST_MAC + packet[12:]))
    assert meet(tcp(End(net.away, 99), scene.client)).reason == Reason.DROP_POLICY_INGRESS


def test_node_is_answered(scene: Scene, net: Net) -> None:
    """A pod that may say nothing answers its node, also after policy has changed."""
    scene.furnish(client_policy=CLIENTS_SET)
    probe = End(net.node, 99)
    assert passes(scene.stack_sends(tcp(probe, scene.client)))
    for rev in (1, 2):
        scene.tables.settings.write(rev=rev)
        assert passes(scene.client_sends(tcp(scene.client, probe, SYN | ACK)))
    assert scene.client_sends(tcp(scene.client, probe, SYN)).reason == Reason.DROP_POLICY_EGRESS


def test_pod_to_its_node_is_judged(scene: Scene, net: Net) -> None:
    """The node is no exception the other way."""
    scene.furnish(client_policy=CLIENTS_SET)
    scene.tables.policy(CLIENTS_SET, verdict(EGRESS, allow=False, rule=1))
    assert scene.client_sends(tcp(scene.client, End(net.node, 22))).reason == Reason.DROP_POLICY_EGRESS
    assert passes(scene.client_sends(tcp(scene.client, End(net.node, 99), SYN | ACK))) is False


@both_ways
@pytest.mark.parametrize("through", ["service", "direct"])
def test_established_connection_is_judged_again(
    scene: Scene, direction: Direction, reason: Reason, through: str
) -> None:
    """When the revision changes, a known connection is judged under the policy of now, whoever sends first."""
    to = scene.vip if through == "service" else scene.server
    chosen = put_under(scene, direction)
    scene.tables.policy(chosen, verdict(direction, allow=True, rule=1))
    scene.client_sends(tcp(scene.client, to))
    scene.tables.policy(chosen, verdict(direction, allow=False, rule=2))
    assert passes(scene.client_sends(tcp(scene.client, to, ACK)))  # under the revision it was judged in
    scene.tables.settings.write(rev=2)
    assert scene.server_sends(scene.answer()).reason == reason
    assert scene.client_sends(tcp(scene.client, to, ACK)).reason == reason
    scene.tables.policy(chosen, verdict(direction, allow=True, rule=3))
    assert passes(scene.server_sends(scene.answer()))
    assert scene.tables.record().rev == 2
    assert CtFlag.REPLIED in scene.tables.record().flags


def test_judged_again_as_it_was_opened(scene: Scene) -> None:
    """A connection judged again by an answer is judged as its client's: the server need not be free to connect."""
    scene.furnish(client_policy=CLIENTS_SET, server_policy=SERVERS_SET)
    for chosen, open_way in ((CLIENTS_SET, EGRESS), (SERVERS_SET, INGRESS)):
        scene.tables.policy(chosen, verdict(open_way, allow=False, rule=1))
        scene.tables.policy(chosen, verdict(open_way, 8080, 16, allow=True, rule=2))
    scene.open()
    scene.tables.settings.write(rev=2)
    assert passes(scene.server_sends(scene.answer()))


def test_free_pod_is_not_judged(scene: Scene) -> None:
    """A pod that no policy selects is asked nothing, whatever classes say."""
    scene.tables.classify(str(scene.net.server), 5)
    assert passes(scene.client_sends(udp(scene.client, scene.server)))
