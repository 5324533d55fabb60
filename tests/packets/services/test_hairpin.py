"""A pod that asks a Service and is given itself: it must not see itself as its own client."""

from __future__ import annotations

import pytest

from tests.packets.read import macs
from tests.packets.rig import CLIENT_MAC, HOST_MAC, REDIRECT, SHOT, Outcome
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.tables.layout import CtFlag, Reason
from twinway_testing.frames import ACK, TCP, UDP, End, tcp, udp

both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
everywhere = pytest.mark.parametrize("in_pod", [False, True], ids=["host side", "in the pod"])
TURNED = 0x74770000


def itself(scene: Scene) -> End:
    """The pod as its own backend."""
    return End(scene.net.client, 8080)


def stand_in(scene: Scene) -> End:
    """Whom the pod sees as its client."""
    return End(scene.net.hairpin, scene.client.port)


def furnish(scene: Scene, *, in_pod: bool = False, policy: int = 0) -> None:
    """The Service leads to the client itself."""
    scene.tables.pod(scene.net.client, scene.rig.behind("eth0" if in_pod else "hosta"), policy=policy)
    for protocol in (TCP, UDP):
        scene.tables.service(scene.vip, itself(scene), protocol=protocol)


def meet(scene: Scene, packet: bytes, *, in_pod: bool) -> Outcome:
    """The pod's packet, where its hook is; one that is sent round is seen again on its way in."""
    if not in_pod:
        return scene.client_sends(packet)
    outcome = scene.leaves_pod(packet)
    if outcome.action == REDIRECT:
        assert (outcome.reason, outcome.mark) == (Reason.PASS_REDIRECTED, TURNED)
        again = scene.enters_pod(outcome.packet, mark=outcome.mark)
        assert (again.reason, again.mark, again.packet) == (Reason.PASS_REDIRECTED, 0, outcome.packet)
    return outcome


def answer(scene: Scene, protocol: int) -> bytes:
    """What the pod answers its stand-in."""
    if protocol == TCP:
        return tcp(itself(scene), stand_in(scene), ACK, b"answer")
    return udp(itself(scene), stand_in(scene), b"answer")


@both
@everywhere
def test_there_and_back(scene: Scene, protocol: int, in_pod: bool) -> None:
    """The request comes from the stand-in; the answer from the Service, and to the pod again."""
    furnish(scene, in_pod=in_pod)
    there = meet(scene, scene.first(protocol), in_pod=in_pod)
    assert (there.action, there.seen.src, there.seen.dst) == (REDIRECT, stand_in(scene), itself(scene))
    back = meet(scene, answer(scene, protocol), in_pod=in_pod)
    assert (back.action, back.seen.src, back.seen.dst) == (REDIRECT, scene.vip, scene.client)
    record, alias = scene.tables.record(), scene.tables.alias()
    assert record.ends == {stand_in(scene), itself(scene)}
    assert CtFlag.HAIRPIN in record.flags & alias.flags
    assert CtFlag.REPLIED in record.flags


def test_macs_lead_into_the_pod_again(scene: Scene) -> None:
    """At the host side the frame is addressed to the pod from its host side; in the pod, to the device itself."""
    furnish(scene)
    assert macs(scene.client_sends(scene.first()).packet) == (CLIENT_MAC, HOST_MAC)
    packet = scene.first()
    furnish(scene, in_pod=True)
    assert macs(scene.leaves_pod(packet).packet) == (packet[6:12], packet[6:12])


@both
@everywhere
@pytest.mark.parametrize("lost", ["record", "alias"])
def test_lost_entry_comes_back(scene: Scene, protocol: int, in_pod: bool, lost: str) -> None:
    """Each of both entries is made again, as it was, by packets to the Service, within a unit of time."""
    furnish(scene, in_pod=in_pod)
    meet(scene, scene.first(protocol), in_pod=in_pod)
    before = getattr(scene.tables, lost)()
    scene.tables.forget(before)
    scene.tables.age(1)
    there = meet(scene, scene.further(protocol), in_pod=in_pod)
    assert (there.seen.src, there.seen.dst) == (stand_in(scene), itself(scene))
    after = getattr(scene.tables, lost)()
    assert (after.key, after.peer, after.flags) == (before.key, before.peer, before.flags)
    back = meet(scene, answer(scene, protocol), in_pod=in_pod)
    assert (back.seen.src, back.seen.dst) == (scene.vip, scene.client)


@everywhere
@pytest.mark.parametrize(
    ("direction", "reason"),
    [(Direction.EGRESS, Reason.DROP_POLICY_EGRESS), (Direction.INGRESS, Reason.DROP_POLICY_INGRESS)],
)
def test_is_judged_as_its_own_peer(scene: Scene, in_pod: bool, direction: Direction, reason: Reason) -> None:
    """Through a Service a pod is no exception: what denies it itself as a peer denies the connection."""
    furnish(scene, in_pod=in_pod, policy=7)
    scene.tables.classify(str(scene.net.client), 5)
    for each in Direction:
        scene.tables.policy(7, verdict(each, allow=True, rule=1))
        scene.tables.policy(7, verdict(each, 8080, 16, allow=each != direction, rule=2, peer=5))
    outcome = meet(scene, scene.first(), in_pod=in_pod)
    assert (outcome.reason, outcome.action) == (reason, SHOT)
    assert scene.tables.connections() == []


@everywhere
def test_is_allowed_as_its_own_peer(scene: Scene, in_pod: bool) -> None:
    """Where policy lets a pod speak to its like, it reaches itself; nobody needs to know the stand-in."""
    furnish(scene, in_pod=in_pod, policy=7)
    scene.tables.classify(str(scene.net.client), 5)
    for each in Direction:
        scene.tables.policy(7, verdict(each, allow=False, rule=1))
        scene.tables.policy(7, verdict(each, 8080, 16, allow=True, rule=2, peer=5))
    assert meet(scene, scene.first(), in_pod=in_pod).action == REDIRECT
    assert meet(scene, answer(scene, TCP), in_pod=in_pod).action == REDIRECT
    scene.tables.settings.write(rev=2)
    assert meet(scene, answer(scene, TCP), in_pod=in_pod).action == REDIRECT


def test_own_address_without_a_service(scene: Scene) -> None:
    """A packet from the stand-in's address that no pod of ours asked for is nobody's."""
    furnish(scene)
    assert scene.client_sends(tcp(stand_in(scene), itself(scene))).reason == Reason.DROP_SPOOFED
