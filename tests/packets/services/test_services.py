"""From a Service's address to a backend: which one, when another, and when none."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.packets.rig import SHOT, Net
from tests.packets.scene import Scene
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import ACK, FIN, RST, SCTP, SYN, TCP, UDP, End, echo, sctp, tcp, udp

both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
CLIENTS = 600
SMALL_SHARE = 64
"""Windows that have room in a table of these tests, whose connections are fewer than those of all the clients."""


def opening(protocol: int, src: End, dst: End) -> bytes:
    """A first packet."""
    return tcp(src, dst) if protocol == TCP else udp(src, dst)


def backends(net: Net) -> list[End]:
    """Three backends on another node."""
    return [End(net.away, port) for port in (9001, 9002, 9003)]


@both
def test_clients_are_spread(scene: Scene, net: Net, protocol: int) -> None:
    """Connections from many ports are given each of three backends about equally often."""
    scene.tables.limit(SMALL_SHARE)
    scene.tables.service(scene.vip, *backends(net), protocol=protocol)
    given = Counter(
        scene.client_sends(opening(protocol, End(net.client, 20000 + number), scene.vip)).seen.dst
        for number in range(CLIENTS)
    )
    assert set(given) == set(backends(net))
    # three standard deviations of a fair choice
    assert all(abs(count - CLIENTS / 3) < 35 for count in given.values()), given


@both
def test_choice_depends_on_the_connection_alone(scene: Scene, net: Net, protocol: int) -> None:
    """A connection that nobody remembers is given the same backend again, as long as the set is the same."""
    scene.tables.service(scene.vip, *backends(net), protocol=protocol)
    packet = opening(protocol, End(net.client, 4321), scene.vip)
    first = scene.client_sends(packet).seen.dst
    for _ in range(3):
        for each in scene.tables.connections():
            scene.tables.forget(each)
        assert scene.client_sends(packet).seen.dst == first


@both
def test_established_connection_keeps_its_backend(scene: Scene, net: Net, protocol: int) -> None:
    """Another set of backends is for new connections; those that exist stay where they are."""
    scene.open(protocol)
    scene.tables.service(scene.vip, *backends(net), protocol=protocol)
    for _ in range(2):
        assert scene.client_sends(scene.further(protocol)).seen.dst == scene.server


def test_udp_leaves_a_backend_that_is_gone(scene: Scene, net: Net) -> None:
    """The first datagram after a backend went chooses among those that there are."""
    scene.open(UDP)
    scene.tables.service(scene.vip, *backends(net), protocol=UDP)
    scene.tables.forget_backend(scene.server, UDP)
    assert scene.client_sends(scene.further(UDP)).seen.dst in backends(net)
    assert scene.tables.alias().peer in backends(net)


def test_udp_to_nobody_left_is_refused(scene: Scene) -> None:
    """When the last backend went, the next datagram of a known flow is refused."""
    scene.open(UDP)
    scene.tables.service(scene.vip, protocol=UDP)
    scene.tables.forget_backend(scene.server, UDP)
    assert scene.client_sends(scene.further(UDP)).reason == Reason.REJECT_NO_BACKEND


def test_tcp_ends_with_its_backend(scene: Scene, net: Net) -> None:
    """A TCP connection cannot change its server: its packets go to where they went; a new one chooses anew."""
    scene.open()
    scene.tables.service(scene.vip, *backends(net))
    scene.tables.forget_backend(scene.server)
    assert scene.client_sends(scene.further()).seen.dst == scene.server
    assert scene.client_sends(tcp(scene.client, scene.vip, SYN)).seen.dst in backends(net)


@pytest.mark.parametrize("ends", [FIN | ACK, RST, 0], ids=["closed", "reset", "left alone"])
def test_port_used_again_is_a_new_client(scene: Scene, net: Net, ends: int) -> None:
    """A SYN asks the Service of now, whatever became of the connection that had its port before."""
    scene.open()
    if ends:
        scene.client_sends(tcp(scene.client, scene.vip, ends))
    scene.tables.service(scene.vip, *backends(net))
    assert scene.client_sends(scene.first()).seen.dst in backends(net)
    scene.tables.service(scene.vip)
    assert scene.client_sends(scene.first()).reason == Reason.REJECT_NO_BACKEND


@both
def test_service_without_a_backend_that_it_may_use_is_silent(scene: Scene, protocol: int) -> None:
    """A Local Service whose backends are on other nodes drops, and what was begun before it goes on."""
    scene.open(protocol)
    scene.tables.service(scene.vip, protocol=protocol, drops=True)
    assert scene.client_sends(scene.further(protocol)).seen.dst == scene.server
    other = End(scene.net.client, 4001)
    assert scene.client_sends(opening(protocol, other, scene.vip)).reason == Reason.DROP_NOT_LOCAL


@both
def test_service_that_came_later(scene: Scene, net: Net, protocol: int) -> None:
    """Who asked an address before it was a Service's is served when it is, from the port that asked already."""
    late = End(net.outside, 80)
    packet = opening(protocol, scene.client, late)
    for _ in range(2):
        assert scene.client_sends(packet).seen.dst == late
    scene.tables.service(late, scene.server, protocol=protocol)
    for _ in range(2):
        assert scene.client_sends(packet).seen.dst == scene.server
    assert scene.server_sends(scene.answer(protocol)).seen.src == late


def test_refusal_of_a_service_that_came_later(scene: Scene, net: Net) -> None:
    """And it is refused aloud, where the Service has no backend or not this port."""
    late = End(net.outside, 80)
    packet = tcp(scene.client, late)
    assert scene.client_sends(packet).seen.dst == late
    scene.tables.service(late)
    assert scene.client_sends(packet).reason == Reason.REJECT_NO_BACKEND


@both
def test_ports_and_protocols_are_their_own(scene: Scene, net: Net, protocol: int) -> None:
    """Two ports of one address, and two protocols of one port, lead where each says."""
    scene.tables.service(End(net.vip, 81), End(net.away, 9001), protocol=protocol)
    other = UDP if protocol == TCP else TCP
    assert scene.client_sends(opening(protocol, scene.client, End(net.vip, 81))).seen.dst == End(net.away, 9001)
    assert scene.client_sends(opening(protocol, scene.client, scene.vip)).seen.dst == scene.server
    refused = scene.client_sends(opening(other, scene.client, End(net.vip, 81)))
    assert refused.reason == Reason.REJECT_NO_PORT


def test_other_addresses_are_left_alone(scene: Scene, net: Net) -> None:
    """What is no Service's is not translated, not even to a port that Services have."""
    outcome = scene.client_sends(tcp(scene.client, End(net.away, 80)))
    assert (outcome.reason, outcome.seen.dst) == (Reason.PASS_OUT, End(net.away, 80))


def test_ping_of_a_service_is_dropped(scene: Scene, net: Net) -> None:
    """A Service has ports alone: what has none must not leak to wherever the address leads."""
    outcome = scene.client_sends(echo(net.client, net.vip))
    assert (outcome.reason, outcome.action) == (Reason.DROP_SERVICE_OTHER, SHOT)


def test_sctp_to_a_service_is_refused(scene: Scene) -> None:
    """No Service has SCTP ports here, so none leaks, even where a TCP port of the number exists."""
    outcome = scene.client_sends(sctp(scene.client, scene.vip))
    assert outcome.reason == Reason.REJECT_NO_PORT
    assert outcome.seen.quoted
    assert outcome.seen.quoted.protocol == SCTP


@both
def test_set_without_its_slots_is_dropped(scene: Scene, protocol: int) -> None:
    """A frontend whose slots are gone twice over drops the packet; nothing is remembered."""
    slots = scene.tables.maps["slot"]
    slots.remove(list(slots.entries()))
    outcome = scene.open(protocol)
    assert (outcome.reason, outcome.action) == (Reason.DROP_RACE, SHOT)
    assert scene.tables.connections() == []


def test_services_are_the_senders(scene: Scene, net: Net) -> None:
    """A packet to a Service that comes from outside, or from the host, is not this path's to translate."""
    for meet in (scene.arrives, scene.stack_sends):
        outcome = meet(tcp(End(net.outside, 4000), scene.vip, SYN | ACK))
        assert outcome.reason == Reason.PASS_FOREIGN
        assert outcome.seen.dst == scene.vip


def test_backend_elsewhere(scene: Scene, net: Net) -> None:
    """A backend of another node answers through the uplink, and its Service is put back on the way in."""
    backend = End(net.away, 9001)
    scene.tables.service(scene.vip, backend)
    assert scene.open().reason == Reason.PASS_OUT
    outcome = scene.arrives(tcp(backend, scene.client, SYN | ACK))
    assert outcome.reason == Reason.PASS_PEER
    assert (outcome.seen.src, outcome.seen.dst) == (scene.vip, scene.client)


def test_answer_by_way_of_the_host(scene: Scene, net: Net) -> None:
    """Where the stack forwards the answer, it is translated at the pod's host side."""
    backend = End(net.away, 9001)
    scene.tables.service(scene.vip, backend)
    scene.open()
    outcome = scene.stack_sends(tcp(backend, scene.client, SYN | ACK))
    assert (outcome.reason, outcome.seen.src) == (Reason.PASS_STACK, scene.vip)


def test_backend_in_the_hosts_own_network(scene: Scene, net: Net) -> None:
    """A backend at the node's own address is reached through the stack, whose answer bears the Service."""
    backend = End(net.node, 6443)
    scene.tables.service(scene.vip, backend)
    there = scene.open()
    assert (there.reason, there.seen.dst) == (Reason.PASS_STACK, backend)
    back = scene.stack_sends(tcp(backend, scene.client, SYN | ACK))
    assert (back.reason, back.seen.src) == (Reason.PASS_STACK, scene.vip)


def test_answer_is_translated_where_it_comes_in(scene: Scene) -> None:
    """Where hooks are in the pods, the server's egress leaves an answer alone; the client's ingress translates."""
    scene.furnish_inside()
    scene.tables.pod(scene.net.server, scene.rig.behind("other eth0"))
    assert scene.leaves_pod(scene.first()).seen.dst == scene.server
    answer = scene.rig.run(programs.POD_OUT, scene.answer(), "other eth0")
    assert (answer.seen.src, answer.seen.dst) == (scene.server, scene.client)
    outcome = scene.enters_pod(answer.packet)
    assert (outcome.reason, outcome.seen.src, outcome.seen.dst) == (Reason.PASS_STACK, scene.vip, scene.client)
