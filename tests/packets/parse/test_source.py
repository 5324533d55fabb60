"""A pod speaks with its own address: policy knows it by that."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from tests.packets.rig import SHOT, UNSPEC
from tests.packets.scene import Scene, only_v6
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import End, end, tcp, udp


@pytest.mark.parametrize("who", ["server", "outside", "node", "vip"])
def test_foreign_source_is_dropped(scene: Scene, who: str) -> None:
    """At a pod's host side, an address that is not this pod's is a lie: another pod's, the node's, anybody's."""
    liar = End(getattr(scene.net, who), 4000)
    outcome = scene.client_sends(tcp(liar, End(scene.net.away, 80)))
    assert (outcome.reason, outcome.action) == (Reason.DROP_SPOOFED, SHOT)
    assert scene.tables.connections() == []


def test_own_source_passes_in_the_pod(scene: Scene) -> None:
    """In the pod's own namespace its address is known without a host side."""
    scene.furnish_inside()
    assert scene.leaves_pod(tcp(scene.client, End(scene.net.away, 80))).reason == Reason.PASS_STACK


@pytest.mark.parametrize("who", ["outside", "node"])
def test_foreign_source_is_dropped_in_the_pod(scene: Scene, who: str) -> None:
    """In a pod's namespace, an address that no pod of this node has is dropped."""
    liar = End(getattr(scene.net, who), 4000)
    assert scene.leaves_pod(tcp(liar, End(scene.net.away, 80))).reason == Reason.DROP_SPOOFED


def test_another_pods_source_is_dropped_in_the_pod(scene: Scene) -> None:
    """In a pod's namespace, the address of another pod of this node is dropped, too."""
    scene.furnish_inside()
    scene.tables.pod(scene.net.other, scene.rig.behind("other eth0"))
    packet = tcp(End(scene.net.other, 4000), End(scene.net.away, 80))
    assert scene.leaves_pod(packet).reason == Reason.DROP_SPOOFED
    assert scene.rig.run(programs.POD_OUT, packet, "other eth0").reason == Reason.PASS_STACK


def test_who_asks_for_an_address_passes(scene: Scene) -> None:
    """DHCP's client has no address yet: it is left to the stack."""
    if scene.net.version == 4:
        packet = udp(end("0.0.0.0", 68), end("255.255.255.255", 67))
    else:
        packet = udp(end("fe80::5", 546), end("ff02::1:2", 547))
    outcome = scene.client_sends(packet)
    assert (outcome.reason, outcome.action) == (Reason.PASS_STACK, UNSPEC)


@only_v6
def test_dhcp_port_is_no_way_round_policy(scene: Scene) -> None:
    """A datagram to DHCP's port of some host, with a source that is nobody's, is dropped."""
    packet = udp(end("2001:db8:9::9", 546), End(scene.net.server, 547))
    assert scene.client_sends(packet).reason == Reason.DROP_SPOOFED


@pytest.mark.parametrize("make", [tcp, udp])
def test_no_source_is_no_way_round_policy(scene: Scene, make: Callable[[End, End], bytes]) -> None:
    """Without an address a pod may ask for one, and nothing else."""
    nobody = End(ip_address("0.0.0.0" if scene.net.version == 4 else "::"), 4000)
    assert scene.client_sends(make(nobody, scene.server)).reason == Reason.DROP_SPOOFED


def test_mark_is_no_way_round_policy(scene: Scene) -> None:
    """A pod that sets the mark of turned packets on its own is checked like any other."""
    scene.furnish_inside(policy=7)
    outcome = scene.leaves_pod(tcp(scene.client, scene.server), mark=0x74770000)
    assert outcome.reason == Reason.DROP_POLICY_EGRESS


@pytest.mark.parametrize("tag", [0x8100, 0x88A8], ids=["802.1Q", "802.1ad"])
def test_tag_is_no_way_round_policy(scene: Scene, tag: int) -> None:
    """In the pod, a packet in a priority-tagged frame is checked like any other: whoever gets it will read it."""
    scene.furnish_inside(policy=7)
    packet = tcp(scene.client, scene.server)
    tagged = packet[:12] + tag.to_bytes(2, "big") + bytes(2) + packet[12:]
    for program in (programs.POD_OUT, programs.GUARD_FROM, programs.SOURCE_FROM):
        assert scene.rig.run(program, tagged, "eth0").action == SHOT


@pytest.mark.parametrize("make", [tcp, udp])
def test_pod_under_no_policy_is_itself(scene: Scene, make: Callable[[End, End], bytes]) -> None:
    """Beside policy at sockets, a pod under no policy is asked whose address it bears, and for nothing else."""
    own, another = make(scene.client, scene.server), make(scene.server, scene.client)
    of_no_version = own[:14] + b"\0" + own[15:]
    for packet, action in ((own, UNSPEC), (another, SHOT), (own, UNSPEC), (of_no_version, SHOT)):
        assert scene.rig.run(programs.SOURCE_FROM, packet, "hosta").action == action
    moved = make(End(scene.net.other, 4000), scene.server)
    assert scene.rig.run(programs.SOURCE_FROM, moved, "hosta").reason == Reason.DROP_SPOOFED


@pytest.mark.parametrize("who", ["server", "outside", "node"])
def test_dhcp_is_asked_of_the_link_alone(scene: Scene, who: str) -> None:
    """From no address, or from a link-local one, DHCP's port of one host is not reached."""
    nobody = end("0.0.0.0", 68) if scene.net.version == 4 else end("fe80::5", 546)
    port = 67 if scene.net.version == 4 else 547
    packet = udp(nobody, End(getattr(scene.net, who), port))
    for program in (programs.HOST_FROM, programs.GUARD_FROM):
        assert scene.rig.run(program, packet, "hosta").reason == Reason.DROP_SPOOFED


def test_dhcp_is_asked_by_its_client_alone(scene: Scene) -> None:
    """What has another source port is no question of DHCP's."""
    if scene.net.version == 4:
        packet = udp(end("0.0.0.0", 4000), end("255.255.255.255", 67))
    else:
        packet = udp(end("fe80::5", 4000), end("ff02::1:2", 547))
    assert scene.client_sends(packet).reason == Reason.DROP_SPOOFED
