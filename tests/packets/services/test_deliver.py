"""Where a packet goes once it is decided, and what it looks like on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.packets.read import macs
from tests.packets.rig import CLIENT_MAC, GATEWAY_MAC, HOST_MAC, NEIGHBOUR_MAC, REDIRECT, UNSPEC, Net
from tests.packets.scene import Doctor, Scene
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import RECEIVER_MAC, SENDER_MAC, UDP, End, end, tcp, udp

MTU = 1500


def test_into_another_pod(scene: Scene) -> None:
    """To a pod of this node: addressed to it from its host side, a hop elder, and redirected."""
    outcome = scene.client_sends(tcp(scene.client, scene.server, ttl=9))
    assert (outcome.reason, outcome.action) == (Reason.PASS_PEER, REDIRECT)
    assert macs(outcome.packet) == (CLIENT_MAC, HOST_MAC)
    assert outcome.seen.ttl == 8


def test_inwards_from_the_network(scene: Scene, net: Net) -> None:
    """From the uplink to a pod of this node: the same."""
    outcome = scene.arrives(tcp(End(net.outside, 99), scene.client, ttl=9))
    assert (outcome.reason, outcome.action) == (Reason.PASS_PEER, REDIRECT)
    assert macs(outcome.packet) == (CLIENT_MAC, HOST_MAC)
    assert outcome.seen.ttl == 8


def test_inwards_by_way_of_the_stack(scene: Scene, net: Net) -> None:
    """What the stack forwards into a pod goes on as it is: the stack has aged and addressed it."""
    packet = tcp(End(net.outside, 99), scene.client)
    outcome = scene.stack_sends(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_not_for_a_pod_of_ours(scene: Scene, net: Net) -> None:
    """At the uplink all else is left alone: the node's own, a forwarded one, one for a pod without a host side."""
    scene.tables.pod(net.other, scene.rig.behind("other eth0"))
    for address in (net.node, net.away, net.other):
        packet = tcp(End(net.outside, 99), End(address, 80))
        outcome = scene.arrives(packet)
        assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_FOREIGN, UNSPEC, packet)


def test_out_by_a_known_next_hop(scene: Scene, net: Net) -> None:
    """By the node's routes, to the MAC of the next hop, a hop elder."""
    outcome = scene.client_sends(tcp(scene.client, End(net.outside, 80), ttl=9))
    assert (outcome.reason, outcome.action) == (Reason.PASS_OUT, REDIRECT)
    assert macs(outcome.packet)[0] == GATEWAY_MAC
    assert macs(outcome.packet)[1] == RECEIVER_MAC  # the uplink's own
    assert outcome.seen.ttl == 8


def test_out_by_a_next_hop_yet_to_be_found(scene: Scene, net: Net) -> None:
    """Where the neighbour is not known the kernel is left to find it, on the way out."""
    outcome = scene.client_sends(tcp(scene.client, End(net.away, 80), ttl=9))
    assert (outcome.reason, outcome.action) == (Reason.PASS_OUT, REDIRECT)
    assert macs(outcome.packet) == (RECEIVER_MAC, SENDER_MAC)
    assert outcome.seen.ttl == 8


def test_without_a_route(scene: Scene) -> None:
    """What routes refuse is the stack's to refuse, as it was."""
    where = "203.0.113.5" if scene.net.version == 4 else "2001:db8:ffff::5"
    packet = tcp(scene.client, end(where, 80))
    outcome = scene.client_sends(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


@pytest.mark.parametrize("who", ["server", "outside"])
def test_last_hop(scene: Scene, who: str) -> None:
    """A packet whose time is up is the stack's: it tells the sender."""
    packet = tcp(scene.client, End(getattr(scene.net, who), 80), ttl=1)
    outcome = scene.client_sends(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_last_hop_inwards(scene: Scene, net: Net) -> None:
    """So it is on the way in."""
    packet = tcp(End(net.outside, 99), scene.client, ttl=1)
    outcome = scene.arrives(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_multicast(scene: Scene) -> None:
    """Groups, and what is on the link alone, are the stack's."""
    groups = ("224.0.0.251", "255.255.255.255") if scene.net.version == 4 else ("ff02::fb", "fe80::1")
    for group in groups:
        packet = udp(scene.client, end(group, 5353))
        outcome = scene.client_sends(packet)
        assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_to_the_node(scene: Scene, net: Net) -> None:
    """To the node itself, through its stack."""
    packet = tcp(scene.client, End(net.node, 22))
    outcome = scene.client_sends(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_to_a_pod_without_a_host_side(scene: Scene, net: Net) -> None:
    """A pod of this node whose hooks are inside it is reached by the stack."""
    scene.tables.pod(net.other, scene.rig.behind("other eth0"))
    assert scene.client_sends(tcp(scene.client, End(net.other, 80))).reason == Reason.PASS_STACK


def test_too_big_for_the_way_out(scene: Scene, net: Net) -> None:
    """What does not fit the next link is the stack's to refuse; a batch of segments that fit is not."""
    packet = udp(scene.client, End(net.outside, 80), bytes(MTU))
    assert scene.client_sends(packet).reason == Reason.PASS_STACK
    assert scene.client_sends(packet, segments=2).reason == Reason.PASS_OUT


def test_pod_to_a_known_neighbour(scene: Scene, net: Net) -> None:
    """In the pod a translated packet is addressed to its new destination's next hop, and goes on."""
    scene.furnish_inside()
    outcome = scene.leaves_pod(scene.first(UDP))
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)
    assert macs(outcome.packet) == (NEIGHBOUR_MAC, SENDER_MAC)
    assert outcome.seen.dst == scene.server


def test_pod_to_a_neighbour_yet_to_be_found(scene: Scene, net: Net) -> None:
    """Where the new next hop is not known the kernel is left to find it."""
    scene.furnish_inside()
    scene.tables.service(scene.vip, End(net.other, 8080))
    outcome = scene.leaves_pod(scene.first())
    assert (outcome.reason, outcome.action) == (Reason.PASS_OUT, REDIRECT)
    assert outcome.seen.dst == End(net.other, 8080)


def test_pod_to_a_pod_of_the_same_parent(scene: Scene, net: Net) -> None:
    """In the pod, what goes to a pod of the same parent has that one's MAC, whatever routes say."""
    scene.tables.pod(net.client, replace(scene.rig.behind("eth0"), host_mac=HOST_MAC))
    scene.tables.pod(net.other, encode.Place(stamp=1, mac=CLIENT_MAC, host_mac=HOST_MAC))
    scene.tables.service(scene.vip, End(net.other, 8080))
    outcome = scene.leaves_pod(scene.first())
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)
    assert (macs(outcome.packet), outcome.seen.dst) == ((CLIENT_MAC, SENDER_MAC), End(net.other, 8080))


def test_pod_to_its_node(scene: Scene, net: Net) -> None:
    """In the pod, what goes to the node itself has the MAC of the node's device on the same parent."""
    scene.tables.pod(net.client, replace(scene.rig.behind("eth0"), host_mac=HOST_MAC))
    scene.tables.node(net.other)
    scene.tables.service(scene.vip, End(net.other, 8080))
    outcome = scene.leaves_pod(scene.first())
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)
    assert macs(outcome.packet) == (HOST_MAC, SENDER_MAC)


def test_pod_to_a_pod_of_another_parent(scene: Scene, net: Net) -> None:
    """In the pod, what goes to a pod of another parent goes by the routes, as to any other place."""
    scene.tables.pod(net.client, replace(scene.rig.behind("eth0"), host_mac=HOST_MAC))
    scene.tables.pod(net.other, encode.Place(stamp=1, mac=CLIENT_MAC, host_mac=CLIENT_MAC))
    scene.tables.service(scene.vip, End(net.other, 8080))
    outcome = scene.leaves_pod(scene.first())
    assert (outcome.reason, outcome.action) == (Reason.PASS_OUT, REDIRECT)


def test_pod_without_a_route_to_the_backend(scene: Scene, net: Net) -> None:
    """A backend that the pod's routes do not know goes where the Service's address would have gone."""
    scene.furnish_inside()
    scene.tables.service(scene.vip, End(net.away, 8080))
    outcome = scene.leaves_pod(scene.first())
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)
    assert (macs(outcome.packet)[0], outcome.seen.dst) == (RECEIVER_MAC, End(net.away, 8080))


def test_pod_without_a_service(scene: Scene, net: Net) -> None:
    """In the pod, what is not translated goes on as it is, and is no hop elder."""
    scene.furnish_inside()
    packet = tcp(scene.client, scene.server)
    outcome = scene.leaves_pod(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_into_the_pod(scene: Scene, net: Net) -> None:
    """In the pod, what comes in and is allowed goes on as it is."""
    scene.furnish_inside()
    packet = tcp(End(net.outside, 99), scene.client)
    outcome = scene.enters_pod(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_STACK, UNSPEC, packet)


def test_without_redirect_peer(scene: Scene, doctor: Doctor) -> None:
    """On a kernel that cannot redirect into a pod, the packet goes through the host side's queue."""
    with doctor(bits=0) as elder:
        for outcome in (
            elder.client_sends(tcp(scene.client, scene.server)),
            elder.arrives(tcp(End(scene.net.outside, 99), scene.client)),
        ):
            assert (outcome.reason, outcome.action) == (Reason.PASS_OUT, REDIRECT)
            assert macs(outcome.packet) == (CLIENT_MAC, HOST_MAC)
        refused = elder.client_sends(tcp(scene.client, End(scene.net.vip, 99)))
        assert (refused.reason, refused.action) == (Reason.REJECT_NO_PORT, REDIRECT)
