"""What the agent removes from the tables that programs fill: what expired, and what no pod has."""

from __future__ import annotations

import re

import pytest

from tests.packets.rig import Net
from tests.packets.scene import Scene
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.load.source import KERNEL
from twinway_bpf.tables import encode, shares
from twinway_bpf.tables.layout import Reason
from twinway_bpf.tables.shares import Sweep
from twinway_testing.frames import ACK, FIN, SYN, TCP, UDP, End, tcp, udp


def swept(scene: Scene) -> None:
    """Once, to its end."""
    sweep = Sweep(lambda name: scene.tables.maps[name.removeprefix("tw_")])
    while sweep.step() is not None:
        pass


def test_idle_times_are_the_programs() -> None:
    """They stand in two places, and are the same."""
    found = dict(re.findall(r"#define CT_(IDLE_\w+) (\d+)", (KERNEL / "idle.h").read_text()))
    assert {name: getattr(shares, name) for name in found} == {name: int(value) for name, value in found.items()}


IDLE = {
    "udp": shares.IDLE_UDP,
    "tcp": shares.IDLE_TCP,
    "tcp unanswered": shares.IDLE_TCP_UNANSWERED,
    "tcp half closed": shares.IDLE_HALF_CLOSED,
    "tcp closed": shares.IDLE_CLOSED,
}


@pytest.mark.parametrize("kind", IDLE)
def test_expired_goes(scene: Scene, kind: str) -> None:
    """An entry stays for its idle time, and no longer."""
    protocol = UDP if kind == "udp" else TCP
    scene.open(protocol)
    if kind != "tcp unanswered":
        scene.server_sends(scene.answer(protocol))
    if kind in ("tcp half closed", "tcp closed"):
        scene.client_sends(tcp(scene.client, scene.vip, FIN | ACK, numbers=(10, 20)))
    if kind == "tcp closed":
        scene.server_sends(tcp(scene.server, scene.client, FIN | ACK, numbers=(20, 11)))
    record = scene.tables.record().key
    for units, there in ((IDLE[kind] - 2, True), (4, False)):
        scene.tables.age(units)
        swept(scene)
        assert (record in {each.key for each in scene.tables.connections()}) == there


def test_what_a_pod_left_goes(scene: Scene, net: Net) -> None:
    """With a pod, its share goes, and what it had with others elsewhere."""
    scene.client_sends(tcp(scene.client, End(net.outside, 80)))
    scene.server_sends(udp(scene.server, End(net.outside, 80)))
    scene.tables.maps["ep"].remove([encode.address(net.client)])
    swept(scene)
    assert {address for address, _ in scene.tables.shares("ct")} == {net.server}
    assert {each.protocol for each in scene.tables.connections()} == {UDP}


NOTED = {
    "udp": (UDP, False, shares.IDLE_UDP),
    "udp answered": (UDP, True, shares.IDLE_UDP),
    "tcp": (TCP, False, shares.IDLE_TCP_UNANSWERED),
    "tcp answered": (TCP, True, shares.IDLE_TCP),
}


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("kind", NOTED)
def test_note_counts_until_it_is_swept(scene: Scene, net: Net, kind: str, late: bool) -> None:
    """What is noted at a guarded pod allows answers for a connection's idle time, while the agent keeps it."""
    protocol, answered, idle = NOTED[kind]
    scene.furnish(client_policy=7)
    for direction in Direction:
        allow = direction == Direction.INGRESS
        scene.tables.policy(7, verdict(direction, allow=allow, rule=1, protocol=protocol))
    there, run = End(net.away, 4000), scene.rig.run
    asked = tcp(there, scene.client) if protocol == TCP else udp(there, scene.client)
    answer = tcp(scene.client, there, SYN | ACK) if protocol == TCP else udp(scene.client, there)
    run(programs.GUARD_TO, asked, "hosta")
    if answered:
        run(programs.GUARD_FROM, answer, "hosta")
    scene.tables.age_notes(idle + 2 if late else idle - 2)
    if late:
        assert run(programs.GUARD_FROM, answer, "hosta").reason == Reason.DROP_POLICY_EGRESS
    swept(scene)
    assert scene.tables.maps["udp"].count() == (0 if late else 1)
    if not late:
        assert run(programs.GUARD_FROM, answer, "hosta").reason == Reason.GO_ON
