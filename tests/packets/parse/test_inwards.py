"""What comes in at a pod's device or at an uplink, and is not what it seems: addresses, senders, frames."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.packets.rig import HOST_MAC, SHOT, UNSPEC, V4, Net, Outcome
from tests.packets.scene import Scene, only_v6
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import TCP, UDP, End, Fragment, IPAddress, arp, echo, end, frame, tcp, udp

SET, OPEN = 7, 53
PLACES = {
    "host side": (programs.HOST_TO, "hosta"),
    "in the pod": (programs.POD_IN, "eth0"),
    "guard": (programs.GUARD_TO, "hosta"),
    "guard in the pod": (programs.GUARD_TO, "eth0"),
}
GROUPS = {4: ("255.255.255.255", "224.0.0.1", "10.1.0.255"), 6: ("ff02::1", "ff05::2", "fe80::5")}
everywhere = pytest.mark.parametrize("where", PLACES)


class Shut:
    """The client under a policy that lets in UDP to one port, at one of the places."""

    def __init__(self, scene: Scene, where: str) -> None:
        self.scene = scene
        self.program, self.at = PLACES[where]
        self.place = replace(scene.rig.behind(self.at), host_mac=HOST_MAC)
        scene.tables.pod(scene.net.client, self.place, policy=SET)
        for protocol in (0, TCP, UDP, 132):
            scene.tables.policy(SET, verdict(Direction.INGRESS, allow=False, rule=9, protocol=protocol))
            scene.tables.policy(SET, verdict(Direction.EGRESS, allow=True, rule=9, protocol=protocol))
        scene.tables.policy(SET, verdict(Direction.INGRESS, OPEN, 16, allow=True, rule=8, protocol=UDP))

    def free(self) -> None:
        """Let it be under no policy."""
        self.scene.tables.pod(self.scene.net.client, self.place)

    def enters(self, packet: bytes, came_by: int = 0) -> Outcome:
        """Meet what comes in."""
        return self.scene.rig.run(self.program, packet, self.at, whole=False, came_by=came_by)


def groups(net: Net) -> list[IPAddress]:
    """Addresses that are no pod's, and that a pod answers to."""
    return list(map(ip_address, GROUPS[net.version]))


@everywhere
def test_to_all_is_judged(scene: Scene, net: Net, where: str) -> None:
    """Broadcast, multicast and link-local enter a pod as its policy says; denials are the pod's."""
    pod = Shut(scene, where)
    sender = End(net.outside, 4000)
    for group in groups(net):
        assert pod.enters(udp(sender, End(group, OPEN))).action == UNSPEC
        before = scene.tables.denied(9)
        assert pod.enters(udp(sender, End(group, 6000))).reason == Reason.DROP_POLICY_INGRESS
        assert scene.tables.denied(9) == before + 1
        assert scene.tables.denied_to(9) == {(net.client, Direction.INGRESS)}
        assert pod.enters(echo(net.outside, group)).action == SHOT
        assert pod.enters(frame(net.outside, group, 47, bytes(20))).action == SHOT
        assert pod.enters(udp(sender, End(group, OPEN), fragment=Fragment(8, more=False))).action == SHOT
    pod.free()
    for group in groups(net):
        assert pod.enters(udp(sender, End(group, 6000))).action == UNSPEC


@everywhere
def test_answer_of_dhcp_is_judged(scene: Scene, net: Net, where: str) -> None:
    """From no address, to all, DHCP's ports are ports like any other."""
    if net.version == 6:
        packet = udp(end("fe80::1", 547), end("ff02::1", 546))
    else:
        packet = udp(end("0.0.0.0", 68), end("255.255.255.255", 67))
    assert Shut(scene, where).enters(packet).reason == Reason.DROP_POLICY_INGRESS


@everywhere
def test_node_says_to_all(scene: Scene, net: Net, where: str) -> None:
    """The node reaches its pods by broadcast, too; who poses as the node does not."""
    pod = Shut(scene, where)
    for to in (net.client, *groups(net)):
        packet = udp(End(net.node, 99), End(to, 6000))
        from_node = packet[:6] + HOST_MAC + packet[12:]
        assert pod.enters(from_node).action == UNSPEC
        scene.tables.maps["ct"].remove(list(scene.tables.maps["ct"].entries()))
        posing = pod.enters(packet) if "in the pod" in where else pod.enters(packet, came_by=77)
        assert (to != net.client and "in the pod" in where) or posing.reason == Reason.DROP_POLICY_INGRESS


@everywhere
@pytest.mark.parametrize("kind", [b"\x12\x34", b"\x88\xcc", b"\x00\x26"])
def test_neither_ip_nor_arp(scene: Scene, net: Net, where: str, kind: bytes) -> None:
    """What nobody can read does not enter a pod under a policy; ARP does."""
    pod = Shut(scene, where)
    packet = frame(net.outside, net.client, UDP, bytes(40))
    other = packet[:12] + kind + packet[14:]
    assert (pod.enters(other).reason, pod.enters(other).action) == (Reason.DROP_NOT_IP, SHOT)
    assert pod.enters(arp(V4.outside, V4.client)).action == UNSPEC
    if "guard" not in where:
        pod.free()
        assert pod.enters(other).action == UNSPEC


@everywhere
@pytest.mark.parametrize("tags", [1, 2])
def test_behind_tags(scene: Scene, net: Net, where: str, tags: int) -> None:
    """What still bears a tag does not enter a pod under a policy: its receiver may take VLAN 0 for none."""
    pod = Shut(scene, where)
    packet = tcp(End(net.outside, 1), End(net.client, 8080))
    tagged = packet[:12] + b"\x81\x00\x00\x00" * tags + packet[12:]
    assert pod.enters(tagged).action == SHOT


@pytest.mark.parametrize("where", ["host side", "in the pod"])
def test_neither_ip_nor_arp_from_a_pod(scene: Scene, net: Net, where: str) -> None:
    """Nor does it leave one; a pod under no policy sends what it likes."""
    pod = Shut(scene, where)
    program = programs.POD_OUT if where == "in the pod" else programs.HOST_FROM
    packet = bytes(12) + b"\x12\x34" + bytes(60)
    for each in (program, programs.GUARD_FROM):
        assert scene.rig.run(each, packet, pod.at).reason == Reason.DROP_NOT_IP
    pod.free()
    assert scene.rig.run(program, packet, pod.at).action == UNSPEC


@pytest.mark.parametrize("who", ["node", "server", "client"])
def test_own_address_from_the_network(scene: Scene, net: Net, who: str) -> None:
    """Nobody on the network has an address of this node or of its pods: the kernel's martians."""
    liar = End(getattr(net, who), 4000)
    for _ in range(2):
        outcome = scene.arrives(udp(liar, End(net.client, 6000)))
        assert (outcome.reason, outcome.action) == (Reason.DROP_SPOOFED, SHOT)


def test_address_that_becomes_a_pods(scene: Scene, net: Net) -> None:
    """An address that was somebody's on the network is not, once a pod of this node has it."""
    packet = udp(End(net.other, 4000), End(net.client, 6000))
    assert scene.arrives(packet).action != SHOT
    scene.tables.pod(net.other, scene.rig.behind("hostb"))
    scene.tables.settings.grow("places")
    assert scene.arrives(packet).reason == Reason.DROP_SPOOFED


@pytest.mark.parametrize(
    "source", [{4: "127.0.0.1", 6: "::1"}, {4: "0.0.0.0", 6: "::"}, {4: "224.0.0.1", 6: "fe80::1"}]
)
def test_odd_source_from_the_network(scene: Scene, net: Net, source: dict[int, str]) -> None:
    """A source that no router forwards is left to the stack, which does not, either."""
    outcome = scene.arrives(udp(end(source[net.version], 67), End(net.client, 6000)))
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)


@only_v6
def test_group_as_a_source(scene: Scene, net: Net) -> None:
    """No packet comes from a group; tw_ep has keys of that form."""
    for source in ("ff02::1", "ffff:ffff:ffff:ffff::1"):
        packet = udp(end(source, 67), End(net.client, 6000))
        assert scene.arrives(packet).reason == Reason.DROP_SHORT
        assert scene.client_sends(packet).reason == Reason.DROP_SHORT


@pytest.mark.parametrize("mac", [b"\x02\0\0\0\x99\x99", b"\xff" * 6], ids=["another station", "all"])
def test_frame_for_another_station(scene: Scene, net: Net, mac: bytes) -> None:
    """A frame that is not for the uplink's own MAC is left to the stack, which forwards none of those."""
    packet = udp(End(net.outside, 4000), End(net.client, 6000))
    assert scene.arrives(packet).reason == Reason.PASS_PEER
    outcome = scene.arrives(mac + packet[6:])
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)
