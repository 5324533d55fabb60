"""A pod's share of a table: what it begins takes the place of its own, whatever it begins."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

import pytest

from tests.packets.connections.test_connections import reaches_client
from tests.packets.rig import Net
from tests.packets.scene import Scene, only_v4
from tests.packets.tables import Connection, verdict
from twinway.model.policy import Direction
from twinway_bpf.load import programs
from twinway_bpf.tables.layout import Ct, CtFlag, Reason
from twinway_testing.frames import ACK, SYN, TCP, UDP, End, IPAddress, tcp, udp

WINDOWS = 4
ROOM = 8 * WINDOWS
"""Entries of a share, of what a pod began; as many again of what others began with it."""
RECEIVED = 0x40000000
FLOWS = 300


@pytest.fixture(autouse=True)
def small(scene: Scene) -> None:
    """Shares that are full soon."""
    scene.tables.limit(WINDOWS)


def ports(address: IPAddress) -> list[End]:
    """Ends of as many flows."""
    return [End(address, 20000 + i) for i in range(FLOWS)]


def of(scene: Scene, address: IPAddress) -> list[Connection]:
    """Entries that an address is an end of."""
    return [each for each in scene.tables.connections() if address in {end.address for end in each.ends}]


def unanswered(scene: Scene, net: Net) -> None:
    """Datagrams that nobody answers."""
    for there in ports(net.outside):
        scene.client_sends(udp(scene.client, there))


def answered(scene: Scene, net: Net) -> None:
    """Datagrams that an accomplice answers, and that go on."""
    for there in ports(net.outside):
        scene.client_sends(udp(scene.client, there))
        scene.arrives(udp(there, scene.client))
        scene.client_sends(udp(scene.client, there))


def beginnings(scene: Scene, net: Net) -> None:
    """SYNs, from ports that the pod's own kernel knows nothing of."""
    for here in ports(net.client):
        scene.client_sends(tcp(here, scene.vip))


def of_no_port(scene: Scene, net: Net) -> None:
    """Packets of a protocol whose number is 0, where there is one."""
    del net
    for i in range(FLOWS):
        packet = bytearray(udp(scene.client, End(ip_address("203.0.113.0") + i % 250, 20000)))
        packet[23] = 0
        packet[24:26] = bytes(2)
        scene.client_sends(bytes(packet), whole=False)


floods = pytest.mark.parametrize("flood", [unanswered, answered, beginnings])
Flood = Callable[[Scene, Net], None]


@floods
def test_flood_evicts_its_own(scene: Scene, net: Net, flood: Flood) -> None:
    """What another pod asked is still answered, and its connections are known; the flood keeps to its room."""
    there = End(net.away, 53)
    scene.server_sends(udp(scene.server, there))
    scene.server_sends(tcp(scene.server, there))
    quiet = {each.key for each in of(scene, net.away)}
    flood(scene, net)
    assert {each.key for each in of(scene, net.away)} == quiet
    assert ROOM - 8 < len(of(scene, net.client)) <= ROOM
    scene.arrives(udp(there, scene.server))
    assert all(CtFlag.REPLIED in each.flags for each in of(scene, net.away) if each.protocol == UDP)


@only_v4
def test_any_protocol_counts(scene: Scene, net: Net) -> None:
    """So it is for protocols that have no ports, down to number 0."""
    of_no_port(scene, net)
    assert len(of(scene, net.client)) <= ROOM


def test_pod_keeps_what_is_assured(scene: Scene, net: Net) -> None:
    """Of its own, too, a pod loses first what nobody answered: a quiet connection stays."""
    scene.open()
    scene.server_sends(tcp(scene.server, scene.client, SYN | ACK))
    scene.client_sends(scene.further())
    unanswered(scene, net)
    assert reaches_client(scene.server_sends(scene.answer()), scene)
    assert len(scene.tables.connections()) <= ROOM


def test_flood_from_elsewhere(scene: Scene, net: Net) -> None:
    """Who floods a pod from outside evicts his own, neither what others asked the pod nor what the pod asked."""
    asked, asking = End(net.away, 53), End(net.away, 4000)
    scene.client_sends(udp(scene.client, asked))
    scene.arrives(udp(asking, End(net.client, 9000)))
    before = {each.key for each in of(scene, net.away)}
    for there in ports(net.outside):
        scene.arrives(tcp(there, End(net.client, 9000)))
        scene.client_sends(tcp(End(net.client, 9000), there, SYN | ACK))
        scene.arrives(tcp(there, End(net.client, 9000), ACK))
    assert {each.key for each in of(scene, net.away)} == before
    assert len(of(scene, net.outside)) <= ROOM


def test_ended_goes_first(scene: Scene, net: Net) -> None:
    """Before anything that lives, what ended makes room."""
    living = ports(net.outside)[: ROOM - 1]
    scene.client_sends(tcp(scene.client, scene.server, SYN))
    scene.client_sends(tcp(scene.client, scene.server, 4))  # RST
    for there in living:
        scene.client_sends(udp(scene.client, there))
    for there in ports(net.away)[:ROOM]:
        scene.client_sends(udp(scene.client, there))
    assert of(scene, net.server) == []


def test_each_slot_holds_its_entry(scene: Scene, net: Net) -> None:
    """After any flood, every entry is where it says that it is."""
    for flood in (beginnings, unanswered, answered):
        flood(scene, net)
    shares = scene.tables.shares("ct")
    assert {address for address, _ in shares} == {net.client}
    for each in scene.tables.connections():
        slot = Ct.from_buffer_copy(scene.tables.maps["ct"].lookup(each.key) or b"").slot
        window, way = slot & RECEIVED | (slot & ~(RECEIVED | 1 << 31)) // 8, slot & 7
        assert shares[net.client, window][way] == each.key


def test_slot_of_a_former_entry(scene: Scene, net: Net) -> None:
    """A key that comes again is not evicted in the name of the place that it had before."""
    scene.client_sends(tcp(scene.client, scene.server))
    scene.tables.forget(scene.tables.record())
    for there in ports(net.outside)[:7]:
        scene.client_sends(udp(scene.client, there))
    scene.client_sends(tcp(scene.client, scene.server))
    for there in ports(net.away)[: ROOM - 8]:
        scene.client_sends(udp(scene.client, there))
    assert len(of(scene, net.server)) == 1


@only_v4
def test_full_table(scene: Scene, net: Net) -> None:
    """Where all is full, a pod goes on at the cost of its own, and another keeps what it has."""
    scene.tables.limit(0)
    table = scene.tables.maps["ct"]
    scene.server_sends(tcp(scene.server, End(net.away, 80)))
    for port in range(table.decl.max_entries - 1):
        scene.client_sends(udp(scene.client, End(net.outside, 1000 + port)))
    assert table.count() == table.decl.max_entries
    fates = [scene.client_sends(udp(scene.client, End(net.away, port))).reason for port in range(20, 30)]
    assert Reason.DROP_NO_ENTRY in fates
    assert Reason.PASS_OUT in fates
    assert len(of(scene, net.server)) == 1


INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
SET = 7


def guarded(scene: Scene, open_way: Direction) -> None:
    """Client and server are under a policy that is open one way."""
    scene.furnish(client_policy=SET, server_policy=SET)
    for direction in Direction:
        for protocol in (TCP, UDP):
            entry = verdict(direction, allow=direction == open_way, rule=1, protocol=protocol)
            scene.tables.policy(SET, entry)


def notes(scene: Scene) -> int:
    """How many there are."""
    return scene.tables.maps["udp"].count()


def test_notes_have_shares(scene: Scene, net: Net) -> None:
    """At sockets: what one pod sends costs no other pod its answer, and itself not what was answered."""
    guarded(scene, EGRESS)
    run, there = scene.rig.run, End(net.away, 53)
    run(programs.GUARD_FROM, udp(scene.server, there), "hostb")
    run(programs.GUARD_FROM, udp(scene.client, there), "hosta")
    run(programs.GUARD_TO, udp(there, scene.client), "hosta")
    for each in ports(net.outside):
        run(programs.GUARD_FROM, udp(scene.client, each), "hosta")
    assert ROOM - 8 < notes(scene) <= ROOM + 1
    for pod, device in ((scene.server, "hostb"), (scene.client, "hosta")):
        assert run(programs.GUARD_TO, udp(there, pod), device).reason == Reason.GO_ON


def test_note_of_what_was_asked_stays(scene: Scene, net: Net) -> None:
    """At sockets: who floods a pod with questions costs no other its answer."""
    guarded(scene, INGRESS)
    run, asking = scene.rig.run, End(net.away, 4000)
    run(programs.GUARD_TO, udp(asking, scene.client), "hosta")
    for each in ports(net.outside):
        run(programs.GUARD_TO, udp(each, scene.client), "hosta")
        run(programs.GUARD_FROM, udp(scene.client, each), "hosta")
    assert run(programs.GUARD_FROM, udp(scene.client, asking), "hosta").reason == Reason.GO_ON
    assert notes(scene) <= ROOM
