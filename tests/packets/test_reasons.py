"""Every reason that the packet programs can give, each reached by a packet."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.packets.doctored import HASH, PER_CPU_HASH
from tests.packets.parse.test_parse import PADDING
from tests.packets.policy.test_guard import REACHED as BY_GUARD
from tests.packets.policy.test_socket_reasons import REACHED as BY_SOCKET_POLICY
from tests.packets.probes import PROBE, probe_frame
from tests.packets.rig import REDIRECT, SHOT, UNSPEC, V4, V6, Outcome
from tests.packets.scene import Doctor, Scene
from tests.packets.socket_calls.test_socket_names import REACHED as BY_NAMES
from tests.packets.socket_calls.test_sockets import REACHED as OF_SOCKETS
from twinway_bpf.load import programs
from twinway_bpf.load.source import flatten
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import End, Fragment, arp, echo, icmp, tcp, udp


def _to_closed_port(scene: Scene, **ip: object) -> bytes:
    return udp(scene.client, End(scene.net.vip, 99), **ip)  # type: ignore[arg-type]


def _neighbour(scene: Scene) -> Outcome:
    return scene.arrives(icmp(V6.away, V6.client, 135, 0, bytes(20), ttl=255))


def _fragment(scene: Scene) -> Outcome:
    return scene.client_sends(udp(scene.client, scene.server, fragment=Fragment(0, more=True)))


def _fragment_to_service(scene: Scene) -> Outcome:
    return scene.client_sends(udp(scene.client, scene.vip, fragment=Fragment(0, more=True)))


def _turned(scene: Scene) -> Outcome:
    return scene.enters_pod(tcp(scene.server, scene.client), mark=0x74770000)


def _no_backend(scene: Scene) -> Outcome:
    scene.tables.service(scene.vip)
    return scene.open()


def _not_local(scene: Scene) -> Outcome:
    scene.tables.service(scene.vip, drops=True)
    return scene.open()


def _unquotable(scene: Scene) -> Outcome:
    if scene.net.version == 4:
        return scene.client_sends(_to_closed_port(scene, options=b"\x01" * 4))
    return scene.client_sends(_to_closed_port(scene, extensions=(PADDING,)))


def _under_policy(scene: Scene, which: str) -> Outcome:
    scene.furnish(**{which: 7})
    return scene.client_sends(tcp(scene.client, scene.server))


def _unreadable(scene: Scene) -> Outcome:
    scene.furnish(client_policy=7)
    return scene.client_sends(bytes(12) + b"\x12\x34" + bytes(60))


def _probe(scene: Scene) -> Outcome:
    scene.tables.settings.write(probe=PROBE)
    return scene.client_sends(probe_frame(PROBE))


def _no_slots(scene: Scene) -> Outcome:
    slots = scene.tables.maps["slot"]
    slots.remove(list(slots.entries()))
    return scene.open()


REACHED: dict[Reason, tuple[int, Callable[[Scene], Outcome]]] = {
    Reason.PASS_NOT_IP: (UNSPEC, lambda s: s.arrives(arp(V4.away, V4.client))),
    Reason.PASS_NEIGHBOUR: (UNSPEC, _neighbour),
    Reason.PASS_FRAGMENT: (UNSPEC, _fragment),
    Reason.PASS_STACK: (UNSPEC, lambda s: s.client_sends(tcp(s.client, End(s.net.node, 22)))),
    Reason.PASS_PEER: (REDIRECT, lambda s: s.client_sends(tcp(s.client, s.server))),
    Reason.PASS_OUT: (REDIRECT, lambda s: s.client_sends(tcp(s.client, End(s.net.outside, 80)))),
    Reason.PASS_FOREIGN: (UNSPEC, lambda s: s.arrives(tcp(s.client, End(s.net.outside, 80)))),
    Reason.PASS_REDIRECTED: (UNSPEC, _turned),
    Reason.REJECT_NO_BACKEND: (REDIRECT, _no_backend),
    Reason.REJECT_NO_PORT: (REDIRECT, lambda s: s.client_sends(_to_closed_port(s))),
    Reason.DROP_SHORT: (SHOT, lambda s: s.client_sends(tcp(s.client, s.server)[:-10])),
    Reason.DROP_FRAGMENT: (SHOT, _fragment_to_service),
    Reason.DROP_SPOOFED: (SHOT, lambda s: s.client_sends(tcp(s.server, s.client))),
    Reason.DROP_NOT_IP: (SHOT, _unreadable),
    Reason.DROP_POLICY_INGRESS: (SHOT, lambda s: _under_policy(s, "server_policy")),
    Reason.DROP_POLICY_EGRESS: (SHOT, lambda s: _under_policy(s, "client_policy")),
    Reason.DROP_SERVICE_OTHER: (SHOT, lambda s: s.client_sends(echo(s.net.client, s.net.vip))),
    Reason.DROP_REWRITE: (SHOT, _unquotable),
    Reason.DROP_RACE: (SHOT, _no_slots),
    Reason.DROP_PROBE: (SHOT, _probe),
    Reason.DROP_NOT_LOCAL: (SHOT, _not_local),
}
"""What becomes of the packet (TC_ACT_*), and a packet that reaches the reason."""

FIRST_DROPPED = 32
BY_SOCKETS = {*OF_SOCKETS, *BY_NAMES}
BY_LACKING_TABLES = frozenset({Reason.DROP_NO_ENTRY})
"""Reached below, with tables that lack what the real ones cannot lack."""


@pytest.mark.parametrize("reason", REACHED, ids=lambda reason: reason.name.lower())
def test_is_reached(scene: Scene, reason: Reason) -> None:
    """A packet gets there, and what is done with it is what the reason's group says."""
    action, send = REACHED[reason]
    outcome = send(scene)
    assert (outcome.reason, outcome.action) == (reason, action)


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param({"tw_scratch_v1": PER_CPU_HASH}, id="no scratch space"),
        pytest.param({"tw_cfg_v4": HASH}, id="no settings"),
        pytest.param({"tw_ct_v3": HASH}, id="connections full"),
    ],
)
def test_lacking_table_drops(scene: Scene, doctor: Doctor, kinds: dict[str, int]) -> None:
    """Without scratch space, settings, or room for both of a connection's entries, a packet is dropped."""
    with doctor(kinds=kinds) as lacking:
        outcome = lacking.open()
    assert (outcome.reason, outcome.action) == (Reason.DROP_NO_ENTRY, SHOT)


@pytest.mark.parametrize("program", [programs.GUARD_FROM, programs.GUARD_TO], ids=["from the pod", "to the pod"])
def test_guard_without_settings_drops(scene: Scene, doctor: Doctor, program: programs.Program) -> None:
    """Without settings, the guard drops what it would judge."""
    with doctor(kinds={"tw_cfg_v4": HASH}, chosen=[program]) as lacking:
        outcome = lacking.rig.run(program, tcp(lacking.client, lacking.server), "hosta")
    assert (outcome.reason, outcome.action) == (Reason.DROP_NO_ENTRY, SHOT)


def test_every_reason_of_the_source_is_reached() -> None:
    """Whatever the programs' sources name as a reason, some test here or of the sockets reaches."""
    reached = set(REACHED) | BY_LACKING_TABLES
    assert named("tc.c") == reached
    assert named("sock.c") == BY_SOCKETS
    for source, by in (("guard.c", set(BY_GUARD) | BY_LACKING_TABLES), ("skb.c", BY_SOCKET_POLICY)):
        assert {reason for reason in named(source) if reason >= FIRST_DROPPED} == set(by)
    assert reached | BY_SOCKETS == set(Reason) - {Reason.GO_ON}


def named(source: str) -> set[Reason]:
    """Reasons that a source names outside of their declaration."""
    text = re.sub(r"enum tw_reason \{.*?\};", "", flatten(source), flags=re.DOTALL)
    return {reason for reason in Reason if reason and re.search(rf"\bTW_{reason.name}\b", text)}
