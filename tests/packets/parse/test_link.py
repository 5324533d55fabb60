"""ARP and neighbour discovery: what a pod says on its link, under any policy, and what it cannot say that way."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

import pytest

from tests.packets.rig import SHOT, UNSPEC, V4, Net, Outcome
from tests.packets.scene import Scene, only_v4, only_v6
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import SENDER_MAC, arp, icmp, neighbour, udp

NOBODY, OWN_LINK, OTHER_LINK = map(IPv6Address, ("::", "fe80::5", "fe80::9"))
ALL, GROUP, ROUTERS, LISTENERS = map(IPv6Address, ("ff02::1", "ff02::1:ff00:9", "ff02::2", "ff02::16"))
BESIDE = IPv6Address("fd00:1::77")
"""A host of the pod's own subnet that this node knows nothing of."""
MAC = b"\x02\x01" + SENDER_MAC
"""An option that holds a MAC."""
NONCE = b"\x0e\x01" + bytes(6)

Leaves = Callable[[bytes], Outcome]


@pytest.fixture(params=["tc", "tc in the pod", "guard", "guard in the pod"])
def leaves(request: pytest.FixtureRequest, scene: Scene) -> Leaves:
    """What becomes of a frame of the client's, under a policy that denies everything."""
    inside = "in the pod" in request.param
    for direction in Direction:
        for protocol in (0, 6, 17, 132):
            scene.tables.policy(7, verdict(direction, allow=False, rule=1, protocol=protocol))
    if inside:
        scene.furnish_inside(policy=7)
    else:
        scene.furnish(client_policy=7)
    if "tc" in request.param:
        program = programs.POD_OUT if inside else programs.HOST_FROM
    else:
        program = programs.GUARD_FROM
    return lambda packet: scene.rig.run(program, packet, "eth0" if inside else "hosta", whole=False)


def passes(outcome: Outcome) -> bool:
    """Whether a frame went on to its link."""
    return outcome.action == UNSPEC and outcome.reason in (
        Reason.PASS_NOT_IP,
        Reason.PASS_NEIGHBOUR,
        Reason.GO_ON,
    )


@only_v4
def test_arp_of_its_own(leaves: Leaves, net: Net) -> None:
    """A pod asks and answers under its own address, and probes whether an address is free under none."""
    for frame in (
        arp(net.client, net.server),
        arp(net.client, net.server, reply=True),
        arp(net.client, net.server) + bytes(18),
        arp(ip_address("0.0.0.0"), net.client),
    ):
        assert passes(leaves(frame))


@only_v4
@pytest.mark.parametrize("who", ["server", "node", "outside", "vip"])
@pytest.mark.parametrize("reply", [False, True], ids=["asks", "answers"])
def test_arp_of_another(leaves: Leaves, net: Net, who: str, reply: bool) -> None:
    """A pod that says that another's address is its own would be sent what is for that one."""
    assert leaves(arp(getattr(net, who), net.other, reply=reply)).reason == Reason.DROP_SPOOFED


@only_v4
def test_arp_with_a_text(leaves: Leaves, net: Net) -> None:
    """ARP has a form, and no room for anything else."""
    frame = arp(net.client, net.server)
    for changed in (frame + bytes(60), frame[:14] + b"\0\x06" + frame[16:], frame[:18] + b"\x05\x04" + frame[20:]):
        assert leaves(changed).action == SHOT


@only_v6
@pytest.mark.parametrize(
    "frame",
    [
        lambda net: neighbour(net.client, GROUP, 135, net.server, MAC),
        lambda net: neighbour(OWN_LINK, GROUP, 135, net.server, MAC),
        lambda net: neighbour(NOBODY, GROUP, 135, net.client),
        lambda net: neighbour(NOBODY, GROUP, 135, OWN_LINK, NONCE),
        lambda net: neighbour(net.client, net.server, 135, net.server, MAC),
        lambda net: neighbour(OWN_LINK, BESIDE, 135, BESIDE),
        lambda net: neighbour(net.client, BESIDE, 136, net.client, MAC),
        lambda net: neighbour(net.client, net.node, 136, net.client, MAC),
        lambda net: neighbour(net.client, OTHER_LINK, 136, net.client, MAC),
        lambda net: neighbour(OWN_LINK, ALL, 136, OWN_LINK, MAC),
        lambda net: icmp(OWN_LINK, ROUTERS, 133, 0, bytes(4) + MAC, ttl=255),
        lambda net: icmp(NOBODY, ROUTERS, 133, 0, bytes(4), ttl=255),
        lambda net: icmp(OWN_LINK, LISTENERS, 143, 0, bytes(24), ttl=1),
        lambda net: icmp(NOBODY, LISTENERS, 143, 0, bytes(24), ttl=1),
    ],
)
def test_neighbours_are_found(leaves: Leaves, net: Net, frame: Callable[[Net], bytes]) -> None:
    """What a stack says to find its neighbours, and to be found, passes."""
    assert passes(leaves(frame(net)))


TEXT = b"a text of thirty-two bytes and more "


@only_v6
@pytest.mark.parametrize(
    "frame",
    [
        lambda net: neighbour(net.client, net.outside, 136, net.client, MAC),
        lambda net: neighbour(net.client, net.outside, 135, net.outside, MAC),
        lambda net: neighbour(net.client, IPv6Address("ff0e::1"), 136, net.client, MAC),
        lambda net: neighbour(net.client, ALL, 136, net.client, TEXT),
        lambda net: neighbour(net.client, GROUP, 135, net.server, TEXT),
        lambda net: neighbour(net.client, BESIDE, 135, IPv6Address(TEXT[:16])),
        lambda net: icmp(net.client, ROUTERS, 133, 0, TEXT, ttl=255),
        lambda net: icmp(OWN_LINK, IPv6Address("ff05::16"), 143, 0, bytes(24), ttl=1),
        lambda net: icmp(net.client, net.outside, 143, 0, bytes(24), ttl=1),
    ],
    ids=["answer", "question", "group", "text", "asked text", "target", "to routers", "site", "listener"],
)
def test_text_in_neighbour_discovery(leaves: Leaves, net: Net, frame: Callable[[Net], bytes]) -> None:
    """Off the link, or with room for a text, it is a packet like any other: here, denied."""
    assert leaves(frame(net)).action == SHOT


@only_v6
@pytest.mark.parametrize(
    "frame",
    [
        lambda net: neighbour(net.server, ALL, 136, net.client, MAC),
        lambda net: neighbour(net.client, ALL, 136, net.server, MAC),
        lambda net: neighbour(OWN_LINK, ALL, 136, net.node, MAC),
        lambda net: neighbour(net.client, ALL, 136, net.server, TEXT),
        lambda net: neighbour(NOBODY, GROUP, 135, net.server),
        lambda net: icmp(OWN_LINK, ALL, 134, 0, bytes(12), ttl=255),
        lambda net: icmp(OWN_LINK, net.server, 137, 0, bytes(36), ttl=255),
        lambda net: icmp(OWN_LINK, ALL, 130, 0, bytes(20), ttl=1),
    ],
    ids=["source", "address", "node's", "with more", "duplicate", "router", "redirect", "querier"],
)
@pytest.mark.parametrize("policy", [0, 7], ids=["free", "shut"])
def test_false_names(scene: Scene, net: Net, frame: Callable[[Net], bytes], policy: int) -> None:
    """No pod says that another's address is its own, or that it is a router."""
    scene.furnish_inside(policy=policy)
    for program in (programs.POD_OUT, programs.GUARD_FROM, programs.SOURCE_FROM):
        assert scene.rig.run(program, frame(net), "eth0").action == SHOT


@only_v6
def test_free_pod_may_send_what_it_likes(scene: Scene, net: Net) -> None:
    """Without a policy, a message of neighbour discovery to somebody far away goes there, as any other does."""
    for target in (net.client, NOBODY):
        packet = neighbour(net.client, net.outside, 136, target, TEXT)
        assert scene.client_sends(packet).reason == Reason.PASS_OUT


def test_frame_is_what_it_says(leaves: Leaves, scene: Scene) -> None:
    """A frame of no protocol that this host knows is not ARP's, nor IP's."""
    packet = udp(scene.client, scene.server)
    assert leaves(packet).action == SHOT
    assert leaves(packet[:12] + b"\x08\x06" + packet[14:]).action == SHOT


@pytest.mark.parametrize("meet", ["arrives", "stack_sends", "enters_pod"])
def test_from_the_network(scene: Scene, net: Net, meet: str) -> None:
    """Inwards both pass: a pod that is shut is found by its neighbours all the same."""
    scene.furnish(client_policy=7)
    packet = arp(V4.away, V4.client) if net.version == 4 else neighbour(net.away, net.client, 135, net.client)
    assert passes(getattr(scene, meet)(packet))
