"""Fragments where they are met: the later ones have no ports."""

from __future__ import annotations

import pytest

from tests.packets.rig import SHOT, UNSPEC, Net
from tests.packets.scene import Scene
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import UDP, End, Fragment, frame, udp

FIRST, MIDDLE, LAST = Fragment(0, more=True), Fragment(185, more=True), Fragment(370, more=False)


def piece(src: End, dst: End, fragment: Fragment) -> bytes:
    """One fragment of a datagram; only the first has the UDP header."""
    if fragment == FIRST:
        return udp(src, dst, bytes(80), fragment=fragment)
    return frame(src.address, dst.address, UDP, bytes(88), fragment=fragment)


every_piece = pytest.mark.parametrize("fragment", [FIRST, MIDDLE, LAST], ids=["first", "middle", "last"])


@every_piece
def test_to_a_service_is_dropped(scene: Scene, fragment: Fragment) -> None:
    """A fragment to a Service cannot be translated, and must not leak to wherever its address leads."""
    outcome = scene.client_sends(piece(scene.client, scene.vip, fragment))
    assert (outcome.reason, outcome.action) == (Reason.DROP_FRAGMENT, SHOT)


@every_piece
@pytest.mark.parametrize("which", ["client_policy", "server_policy"])
def test_under_a_policy_is_dropped(scene: Scene, fragment: Fragment, which: str) -> None:
    """A fragment from or to a pod under a policy cannot be judged."""
    scene.furnish(**{which: 7})
    outcome = scene.client_sends(piece(scene.client, scene.server, fragment))
    assert (outcome.reason, outcome.action) == (Reason.DROP_FRAGMENT, SHOT)


@every_piece
def test_to_a_pod_under_a_policy_is_dropped_on_its_way_in(scene: Scene, net: Net, fragment: Fragment) -> None:
    """So it is at the uplink, at the host side, and in the pod."""
    scene.furnish(client_policy=7)
    packet = piece(End(net.outside, 53), scene.client, fragment)
    for meet in (scene.arrives, scene.stack_sends, scene.enters_pod):
        assert meet(packet).reason == Reason.DROP_FRAGMENT


@every_piece
def test_that_concerns_nobody_passes(scene: Scene, net: Net, fragment: Fragment) -> None:
    """Without a policy and a Service, fragments are the stack's."""
    packet = piece(scene.client, scene.server, fragment)
    outcome = scene.client_sends(packet)
    assert (outcome.reason, outcome.action, outcome.packet) == (Reason.PASS_FRAGMENT, UNSPEC, packet)
    inwards = scene.arrives(piece(End(net.outside, 53), scene.client, fragment))
    assert (inwards.reason, inwards.action) == (Reason.PASS_FRAGMENT, UNSPEC)
