"""The connection table: two entries a connection, each of which makes the other again."""

from __future__ import annotations

import pytest

from tests.packets.rig import REDIRECT, UNSPEC, Net, Outcome
from tests.packets.scene import Scene
from twinway_bpf.tables.layout import CtFlag, Reason
from twinway_testing.frames import ACK, FIN, RST, SYN, TCP, UDP, End, echo, tcp, udp

both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
SYN_ACK = SYN | ACK


def reaches_server(outcome: Outcome, scene: Scene) -> bool:
    """Whether a packet is on its way from the client to the backend."""
    return outcome.reason == Reason.PASS_PEER and (outcome.seen.src, outcome.seen.dst) == (
        scene.client,
        scene.server,
    )


def reaches_client(outcome: Outcome, scene: Scene) -> bool:
    """Whether a packet is on its way to the client, from the Service as far as that can see."""
    return outcome.reason == Reason.PASS_PEER and (outcome.seen.src, outcome.seen.dst) == (scene.vip, scene.client)


@both
def test_first_packet_makes_record_and_alias(scene: Scene, protocol: int) -> None:
    """A record between the real ends remembers the Service, an alias of what was written the backend."""
    assert reaches_server(scene.open(protocol), scene)
    record, alias = scene.tables.record(), scene.tables.alias()
    assert (set(record.ends), record.protocol, record.peer) == ({scene.client, scene.server}, protocol, scene.vip)
    assert (set(alias.ends), alias.protocol, alias.peer) == ({scene.client, scene.vip}, protocol, scene.server)
    assert record.flags & ~CtFlag.FIRST == CtFlag.NAT
    assert record.backend == alias.backend != 0
    assert record.rev == 1


def test_direct_connection_makes_a_record_alone(scene: Scene) -> None:
    """Without a Service there is nothing to translate, and one entry."""
    scene.client_sends(tcp(scene.client, scene.server))
    record = scene.tables.record()
    assert (record.flags & ~CtFlag.FIRST, record.backend, record.peer.port) == (CtFlag(0), 0, 0)
    assert len(scene.tables.connections()) == 1


@both
def test_answer_bears_the_service(scene: Scene, protocol: int) -> None:
    """What the server answers is given its Service back, and the record knows that it answered."""
    scene.open(protocol)
    assert reaches_client(scene.server_sends(scene.answer(protocol)), scene)
    assert CtFlag.REPLIED in scene.tables.record().flags
    assert len(scene.tables.connections()) == 2


@both
def test_lost_record_comes_back(scene: Scene, protocol: int) -> None:
    """An evicted record is written again by the client within a unit of time, and answers are translated again."""
    scene.open(protocol)
    before = scene.tables.record()
    scene.tables.forget(before)
    scene.tables.age(1)
    assert reaches_server(scene.client_sends(scene.further(protocol)), scene)
    after = scene.tables.record()
    assert (after.ends, after.peer, after.flags, after.backend) == (
        before.ends,
        before.peer,
        before.flags,
        before.backend,
    )
    assert reaches_client(scene.server_sends(scene.answer(protocol)), scene)


@both
def test_alias_answers_for_its_record(scene: Scene, protocol: int) -> None:
    """Within a unit of time a later packet of the client needs the alias alone, once an answer was answered."""
    scene.open(protocol)
    scene.server_sends(scene.answer(protocol))
    scene.client_sends(scene.further(protocol))
    scene.tables.forget(scene.tables.record())
    assert reaches_server(scene.client_sends(scene.further(protocol)), scene)
    assert [each.is_alias for each in scene.tables.connections()] == [True]


@both
def test_alias_answers_for_no_other_policy(scene: Scene, protocol: int) -> None:
    """Under another revision of policy the record is asked at once, and both are of that revision then."""
    scene.open(protocol)
    scene.tables.settings.write(rev=2)
    assert reaches_server(scene.client_sends(scene.further(protocol)), scene)
    assert [each.rev for each in scene.tables.connections()] == [2, 2]


@both
def test_lost_alias_comes_back(scene: Scene, net: Net, protocol: int) -> None:
    """An evicted alias is written again, with the same one of many backends."""
    backends = [scene.server, *(End(net.away, port) for port in range(9000, 9007))]
    scene.tables.service(scene.vip, *backends, protocol=protocol)
    chosen = scene.open(protocol).seen.dst
    before = scene.tables.alias()
    scene.tables.forget(before)
    assert scene.client_sends(scene.further(protocol)).seen.dst == chosen
    after = scene.tables.alias()
    assert (after.key, after.peer, after.flags, after.backend) == (
        before.key,
        before.peer,
        before.flags,
        before.backend,
    )
    assert len(scene.tables.connections()) == 2


@both
def test_lost_connection_comes_back(scene: Scene, protocol: int) -> None:
    """With both entries evicted the client's next packet makes both again."""
    scene.open(protocol)
    before = {each.key for each in scene.tables.connections()}
    for each in scene.tables.connections():
        scene.tables.forget(each)
    assert reaches_server(scene.client_sends(scene.further(protocol)), scene)
    assert {each.key for each in scene.tables.connections()} == before


def _opened(scene: Scene, kind: str) -> int:
    """Bring one direct connection into a condition; its protocol."""
    protocol = TCP if kind.startswith("tcp") else UDP
    make = tcp if protocol == TCP else udp
    scene.client_sends(make(scene.client, scene.server))
    if not kind.endswith("one way"):
        scene.server_sends(scene.answer(protocol))
    if kind in ("tcp closing", "tcp closed"):
        scene.client_sends(tcp(scene.client, scene.server, FIN | ACK, numbers=(10, 20)))
    if kind == "tcp closed":
        scene.server_sends(tcp(scene.server, scene.client, FIN | ACK, numbers=(20, 11)))
    return protocol


IDLE = {
    "tcp": 432000,
    "tcp one way": 112,
    "tcp closing": 3353,
    "tcp closed": 60,
    "udp": 180,
    "udp one way": 180,
}
"""How long a connection may be silent, in units of 2^30 ns. Source: nf_conntrack, with kube-proxy."""


@pytest.mark.parametrize("kind", IDLE)
def test_silent_connection_is_known_for_its_time(scene: Scene, kind: str) -> None:
    """Just before its idle time is over, a packet of the server is an answer."""
    protocol = _opened(scene, kind)
    before = scene.tables.record()
    scene.tables.age(IDLE[kind] - 2)
    scene.server_sends(scene.answer(protocol))
    assert scene.tables.record().flags & CtFlag.FIRST == before.flags & CtFlag.FIRST
    assert CtFlag.REPLIED in scene.tables.record().flags


@pytest.mark.parametrize("kind", IDLE)
def test_silent_connection_ends_in_time(scene: Scene, kind: str) -> None:
    """After its idle time, a packet of the server is a connection that the server opens."""
    protocol = _opened(scene, kind)
    before = scene.tables.record()
    scene.tables.age(IDLE[kind] + 1)
    scene.server_sends(scene.answer(protocol))
    assert scene.tables.record().flags & CtFlag.FIRST != before.flags & CtFlag.FIRST
    assert CtFlag.REPLIED not in scene.tables.record().flags


def test_packets_keep_a_connection(scene: Scene) -> None:
    """Each packet through a Service renews both entries."""
    scene.open(UDP)
    scene.tables.age(175)
    scene.client_sends(scene.further(UDP))
    scene.tables.age(175)
    assert reaches_client(scene.server_sends(scene.answer(UDP)), scene)


def test_answers_keep_a_connection(scene: Scene) -> None:
    """A stream of datagrams that was asked for once goes on for as long as it does not pause."""
    scene.open(UDP)
    for _ in range(3):
        scene.tables.age(175)
        assert reaches_client(scene.server_sends(scene.answer(UDP)), scene)


@pytest.mark.parametrize(
    ("flags", "noticed"), [(FIN | ACK, CtFlag.CLOSING), (RST, CtFlag.RESET)], ids=["fin", "rst"]
)
def test_end_is_noticed_from_both_sides(scene: Scene, flags: int, noticed: CtFlag) -> None:
    """A FIN or RST of either end is written down, and passes translated."""
    for close in (
        lambda: reaches_server(scene.client_sends(tcp(scene.client, scene.vip, flags)), scene),
        lambda: reaches_client(scene.server_sends(tcp(scene.server, scene.client, flags)), scene),
    ):
        scene.tables.clear()
        scene.furnish()
        scene.open()
        assert close()
        assert noticed in scene.tables.record().flags


def test_repeated_syn_changes_nothing(scene: Scene) -> None:
    """A SYN sent again belongs to the connection that is opening, whatever has answered already."""
    scene.client_sends(tcp(scene.client, scene.server))
    scene.server_sends(tcp(scene.server, scene.client, SYN_ACK))
    before = scene.tables.record()
    scene.client_sends(tcp(scene.client, scene.server))
    assert scene.tables.record().flags == before.flags


@pytest.mark.parametrize("through", ["service", "direct"])
@pytest.mark.parametrize("how", ["fins", "rst"])
def test_syn_opens_a_closed_connection_anew(scene: Scene, through: str, how: str) -> None:
    """A port used again right after a close is a new connection: nothing of the old one is left."""
    to = scene.vip if through == "service" else scene.server
    scene.client_sends(tcp(scene.client, to))
    scene.server_sends(scene.answer())
    if how == "rst":
        scene.client_sends(tcp(scene.client, to, RST | ACK))
    else:
        scene.client_sends(tcp(scene.client, to, FIN | ACK, numbers=(10, 20)))
        scene.server_sends(tcp(scene.server, scene.client, FIN | ACK, numbers=(20, 11)))
    old = CtFlag.CLOSING | CtFlag.REPLIED | CtFlag.RESET | CtFlag.FIN_BOTH
    assert scene.tables.record().flags & old
    assert reaches_server(scene.client_sends(tcp(scene.client, to)), scene)
    assert not scene.tables.record().flags & old
    assert (CtFlag.NAT in scene.tables.record().flags) == (through == "service")


def _half_closed(scene: Scene) -> None:
    scene.open()
    scene.server_sends(tcp(scene.server, scene.client, SYN_ACK))
    scene.client_sends(scene.further())
    scene.client_sends(tcp(scene.client, scene.vip, FIN | ACK))


def test_half_closed_connection_waits_for_its_answer(scene: Scene) -> None:
    """An answer that takes its time after the client's FIN still comes from the Service."""
    _half_closed(scene)
    scene.tables.age(3350)
    assert reaches_client(scene.server_sends(scene.answer()), scene)


def test_syn_takes_no_half_closed_connection(scene: Scene) -> None:
    """A SYN from the same port goes where the old connection went; the record turns new with the SYN-ACK alone."""
    _half_closed(scene)
    assert reaches_server(scene.open(), scene)
    assert CtFlag.CLOSING in scene.tables.record().flags
    assert reaches_client(scene.server_sends(scene.answer()), scene)
    scene.server_sends(tcp(scene.server, scene.client, SYN_ACK))
    assert CtFlag.CLOSING not in scene.tables.record().flags
    scene.tables.age(4000)
    assert reaches_client(scene.server_sends(scene.answer()), scene)


@pytest.mark.parametrize("asked", ["server", "other"], ids=["by name", "through another Service"])
def test_half_closed_connection_keeps_its_name(scene: Scene, net: Net, asked: str) -> None:
    """Another connection from the same port to its backend takes another port, and the old answer arrives."""
    other = End(net.vip, 81)
    scene.tables.service(other, scene.server)
    _half_closed(scene)
    given = scene.client_sends(tcp(scene.client, scene.server if asked == "server" else other)).seen
    assert given.dst == scene.server
    assert given.src.port != scene.client.port
    assert reaches_client(scene.server_sends(scene.answer()), scene)


@pytest.mark.parametrize("who", ["client", "server"])
def test_stray_reset_shortens_nothing(scene: Scene, who: str) -> None:
    """Who sends a RST out of its window, or under another's name, ends no connection."""
    scene.open()
    scene.server_sends(tcp(scene.server, scene.client, SYN_ACK))
    scene.client_sends(scene.further())
    before = scene.tables.record()
    outside = 123456, 0
    if who == "client":
        scene.client_sends(tcp(scene.client, scene.vip, RST, numbers=outside))
    else:
        scene.server_sends(tcp(scene.server, scene.client, RST, numbers=outside))
    assert CtFlag.RESET in scene.tables.record().flags
    scene.tables.age(100_000)
    assert reaches_client(scene.server_sends(scene.answer()), scene)
    after = scene.tables.record()
    assert CtFlag.RESET not in after.flags
    assert after.flags & CtFlag.FIRST == before.flags & CtFlag.FIRST


@pytest.mark.parametrize("through", ["service", "direct"])
def test_reset_opens_nothing(scene: Scene, through: str) -> None:
    """A RST of no connection passes like any other packet, and is remembered by none."""
    to = scene.vip if through == "service" else scene.server
    assert reaches_server(scene.client_sends(tcp(scene.client, to, RST)), scene)
    assert scene.tables.connections() == []


def test_syn_from_the_other_end_opens_the_other_way(scene: Scene) -> None:
    """A SYN against the direction of a known connection is a connection of its own, opened by its sender."""
    scene.client_sends(tcp(scene.client, scene.server))
    before = scene.tables.record()
    scene.server_sends(tcp(scene.server, scene.client, SYN))
    after = scene.tables.record()
    assert after.flags & CtFlag.FIRST != before.flags & CtFlag.FIRST
    assert CtFlag.REPLIED not in after.flags


def test_syn_ack_is_an_answer(scene: Scene) -> None:
    """The second step of the handshake opens nothing."""
    scene.open()
    assert reaches_client(scene.server_sends(tcp(scene.server, scene.client, SYN_ACK)), scene)
    assert CtFlag.REPLIED in scene.tables.record().flags


def test_ping_is_answered(scene: Scene) -> None:
    """An echo and its reply are one connection, known by the identifier."""
    assert scene.client_sends(echo(scene.net.client, scene.net.server)).reason == Reason.PASS_PEER
    outcome = scene.server_sends(echo(scene.net.server, scene.net.client, reply=True))
    assert outcome.reason == Reason.PASS_PEER
    assert CtFlag.REPLIED in scene.tables.record().flags


def test_both_directions_of_a_key(scene: Scene, net: Net) -> None:
    """Whichever end is the smaller one, record and answer find each other."""
    low, high = sorted((net.other, net.away))
    for src, dst in ((low, high), (high, low)):
        scene.tables.clear()
        scene.furnish()
        scene.tables.pod(src, scene.rig.behind("hosta"))
        first = CtFlag.FIRST if src == low else CtFlag(0)
        scene.client_sends(tcp(End(src, 4000), End(dst, 80)))
        assert scene.tables.record().flags == first
        scene.arrives(tcp(End(dst, 80), End(src, 4000), SYN_ACK))
        assert scene.tables.record().flags == first | CtFlag.REPLIED


@both
def test_backend_asked_by_its_own_name(scene: Scene, protocol: int) -> None:
    """After the Service, the same port asks the backend itself: from another port, and both connections live."""
    make = tcp if protocol == TCP else udp
    scene.open(protocol)
    moved = scene.client_sends(make(scene.client, scene.server)).seen
    assert (moved.src.address, moved.dst) == (scene.client.address, scene.server)
    assert moved.src.port != scene.client.port
    answer = tcp(scene.server, moved.src, SYN_ACK) if protocol == TCP else udp(scene.server, moved.src)
    back = scene.server_sends(answer)
    assert (back.seen.src, back.seen.dst) == (scene.server, scene.client)
    assert scene.server_sends(scene.answer(protocol)).seen.src == scene.vip


@both
def test_two_services_with_one_backend(scene: Scene, net: Net, protocol: int) -> None:
    """One port asks two Services that lead to one backend: each answer bears the name that was asked."""
    other = End(net.vip, 81)
    scene.tables.service(other, scene.server, protocol=protocol)
    make = tcp if protocol == TCP else udp
    seen = {}
    for asked in (scene.vip, other, scene.vip):
        seen[asked] = scene.client_sends(make(scene.client, asked)).seen.src
    assert seen[scene.vip] == scene.client
    assert seen[other].port != scene.client.port
    for asked, source in seen.items():
        answer = tcp(scene.server, source, SYN_ACK) if protocol == TCP else udp(scene.server, source)
        back = scene.server_sends(answer).seen
        assert (back.src, back.dst) == (asked, scene.client)


@both
def test_translated_packet_meets_the_hook_again(scene: Scene, net: Net, protocol: int) -> None:
    """A packet whose next hop the kernel had to find leaves by the hook once more, and is no new connection."""
    scene.furnish_inside()
    backend = End(net.other, 8080)
    scene.tables.service(scene.vip, backend, protocol=protocol)
    first = scene.leaves_pod(scene.first(protocol))
    assert (first.reason, first.action) == (Reason.PASS_OUT, REDIRECT)
    again = scene.leaves_pod(first.packet, mark=first.mark)
    assert (again.action, again.mark, again.packet) == (UNSPEC, 0, first.packet)
    answer = tcp(backend, scene.client, SYN_ACK) if protocol == TCP else udp(backend, scene.client)
    assert scene.enters_pod(answer).seen.src == scene.vip
