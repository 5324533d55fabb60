"""Policy at TCP sockets: what goes on, under which verdict, and for how long."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TypeVar

import pytest

from tests.packets.rig import SHOT, UNSPEC, V4, V6, Net
from tests.packets.socket_fates import (
    CLIENTS_SET,
    DENIED,
    EGRESS,
    GUARDS,
    INGRESS,
    SERVERS_SET,
    STREAM,
    connecting,
    each_side,
    idle,
    memory,
    pod,
    sending,
)
from tests.packets.sockets import KINDS, LOOPBACK, Kind, Site, cookie, disconnect
from tests.packets.tables import verdict
from twinway.model.policy import Direction
from twinway_bpf.load import libbpf, programs, stamp
from twinway_bpf.load.loader import Loader
from twinway_bpf.tables import clock
from twinway_bpf.tables.encode import Place
from twinway_bpf.tables.layout import CfgFlag, Reason
from twinway_testing import testrun
from twinway_testing.frames import ACK, TCP, End, tcp

Played = TypeVar("Played")


def established(site: Site, kind: Kind) -> tuple[socket.socket, socket.socket]:
    """A TCP connection: the client's socket and the accepted one."""
    listener = site.listen(kind.server)
    client = site.at(kind, STREAM, kind.client)
    client.connect(kind.spelled(kind.server))
    accepted, _ = listener.accept()
    site.keep(accepted)
    return client, accepted


def test_both_ends_of_a_connection_speak(site: Site, kind: Kind) -> None:
    """On a connection that was allowed both speak, though it could not have been opened the other way."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    client, accepted = established(site, kind)
    for speaker, listener in ((client, accepted), (accepted, client)):
        assert sending(site, speaker.send, listener) is None


@each_side
@pytest.mark.parametrize("speaker", [0, 1], ids=["client speaks", "server speaks"])
def test_connection_is_judged_again(site: Site, kind: Kind, side: Direction, speaker: int) -> None:
    """When the revision changes, a connection that is denied by now falls silent, both ways."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    ends = established(site, kind)
    assert sending(site, ends[speaker].send, ends[1 - speaker]) is None
    pod(site, *((kind.client, CLIENTS_SET) if side == EGRESS else (kind.server, SERVERS_SET)))
    assert sending(site, ends[speaker].send, ends[1 - speaker]) is None
    site.tables.settings.write(rev=2)
    assert sending(site, ends[speaker].send, ends[1 - speaker]) == DENIED[side]


@each_side
@pytest.mark.parametrize("speaker", [0, 1], ids=["client speaks", "server speaks"])
def test_connection_from_before(site: Site, kind: Kind, side: Direction, speaker: int) -> None:
    """Of sockets of which nothing is noted, those that the agent wrote down have connected, the others not."""
    site.tables.settings.flag(CfgFlag.POLICY_AT_SOCKET, on=False)
    ends = established(site, kind)
    site.tables.maps["initiator"].write({cookie(ends[0]): bytes(1)})
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    assert sending(site, ends[speaker].send, ends[1 - speaker]) is None
    pod(site, *((kind.client, CLIENTS_SET, INGRESS) if side == EGRESS else (kind.server, SERVERS_SET, EGRESS)))
    site.tables.settings.write(rev=2)
    assert sending(site, ends[speaker].send, ends[1 - speaker]) == DENIED[side]


@each_side
def test_connection_from_before_its_pods_policy(site: Site, kind: Kind, side: Direction) -> None:
    """Which end opened is noted also where no policy is asked, for one that comes later."""
    for end in (kind.client, kind.server):
        site.tables.pod(end.address, Place(ifindex=1))
    ends = established(site, kind)
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    pod(site, kind.server, SERVERS_SET, INGRESS)
    site.tables.settings.write(rev=2)
    for speaker, listener in (ends, ends[::-1]):
        assert sending(site, speaker.send, listener) is None
    pod(site, *((kind.client, CLIENTS_SET, INGRESS) if side == EGRESS else (kind.server, SERVERS_SET, EGRESS)))
    site.tables.settings.write(rev=3)
    assert sending(site, ends[0].send, ends[1]) == DENIED[side]


def test_accepted_socket_that_connects(site: Site, kind: Kind) -> None:
    """A socket that was accepted, and then connects to somebody, is judged as one that opens."""
    pod(site, kind.server, SERVERS_SET, INGRESS)
    _, accepted = established(site, kind)
    disconnect(accepted)
    site.listen(kind.others[0])
    assert connecting(site, accepted, kind.spelled(kind.others[0])) == DENIED[EGRESS]


def test_socket_that_connects_again(site: Site, kind: Kind) -> None:
    """What was said of a socket's last connection is not said of its next."""
    pod(site, kind.client, CLIENTS_SET)
    allowed, denied = End(kind.server.address, 8080), End(kind.server.address, 8081)
    site.tables.policy(CLIENTS_SET, verdict(EGRESS, allowed.port, 16, allow=True, rule=1))
    client = site.at(kind, STREAM, kind.client)
    site.listen(denied)
    site.listen(allowed)
    client.connect(kind.spelled(allowed))
    disconnect(client)
    assert connecting(site, client, kind.spelled(denied)) == DENIED[EGRESS]


def test_socket_that_listens_later(site: Site, kind: Kind) -> None:
    """A socket whose connection was allowed does not let everybody in when it listens."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    site.listen(kind.server)
    turning = site.at(kind, STREAM, End(kind.client.address, 8085))
    turning.connect(kind.spelled(kind.server))
    disconnect(turning)
    turning.listen()
    asking = site.at(kind, STREAM, kind.others[0])
    assert connecting(site, asking, kind.spelled(End(kind.client.address, 8085))) == DENIED[INGRESS]


@idle
@pytest.mark.parametrize("net", [V4, V6], ids=["v4", "v6"])
def test_raw_socket_is_no_connection(site: Site, net: Net) -> None:
    """What a raw socket says to one peer is allowed or not, whatever it said to another."""
    pod(site, End(net.client), CLIENTS_SET)
    site.tables.policy(CLIENTS_SET, verdict(EGRESS, 8080, 16, allow=True, rule=1))
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_RAW, TCP) as raw:
        raw.bind((str(net.client), 0))
        for port, dropped in ((8080, 0), (8081, 1), (8080, 0)):
            before = site.tables.counts()[Reason.DROP_POLICY_EGRESS]
            segment = tcp(End(net.client, 9000), End(net.server, port), ACK)[
                14 + (20 if net.version == 4 else 40) :
            ]
            with suppress(OSError):  # IPv6 tells a raw socket of a drop on the way, IPv4 does not
                raw.sendto(segment, (str(net.server), 0))
            assert site.tables.counts()[Reason.DROP_POLICY_EGRESS] == before + dropped


TCP_REPAIR, REPAIR, NO_MORE = 19, 1, 0


def made_up(site: Site, kind: Kind) -> None:
    """A socket goes on with a connection that never began: its kernel thinks it established, and sends at once."""
    client = site.at(kind, STREAM, kind.client)
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR)
    client.connect(kind.spelled(kind.server))
    client.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, NO_MORE)


@idle
@pytest.mark.parametrize("may_open", [True, False])
def test_connection_that_never_began(site: Site, kind: Kind, *, may_open: bool) -> None:
    """It may go on where it could have begun, and nowhere else."""
    pod(site, kind.client, CLIENTS_SET, *([EGRESS] if may_open else [INGRESS]))
    before = site.tables.counts()[Reason.DROP_POLICY_EGRESS]
    made_up(site, kind)
    assert (site.tables.counts()[Reason.DROP_POLICY_EGRESS] == before) == may_open


@idle
def test_connection_that_never_began_of_another_address(site: Site, kind: Kind) -> None:
    """Nor under an address that is not the pod's."""
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    site.tables.pod(kind.client.address, Place(ifindex=LOOPBACK + 1))
    before = site.tables.counts()[Reason.DROP_SPOOFED]
    made_up(site, kind)
    assert site.tables.counts()[Reason.DROP_SPOOFED] > before


@each_side
def test_connection_that_began_before_its_guard(site: Site, kind: Kind, side: Direction) -> None:
    """What nobody saw beginning goes on from either end if it could begin, and not else."""
    with site.guarded():
        client, accepted = established(site, kind)
    with site.guarded(*GUARDS["idle"]):
        pod(site, *((kind.client, CLIENTS_SET) if side == EGRESS else (kind.server, SERVERS_SET)))
        for speaker, listener, way in ((accepted, client, INGRESS), (client, accepted, EGRESS)):
            assert sending(site, speaker.send, listener) == (DENIED[side] if way == side else None)
        pod(site, *((kind.client, CLIENTS_SET, EGRESS) if side == EGRESS else (kind.server, SERVERS_SET, INGRESS)))
        for speaker, listener in ((accepted, client), (client, accepted)):
            assert sending(site, speaker.send, listener) is None


def verdict_on(site: Site, end: socket.socket) -> bytes | None:
    """What the guard has stored on a socket."""
    return site.tables.maps["skpol"].lookup(end.fileno().to_bytes(4, sys.byteorder))


def speak_until_stored(site: Site, accepted: socket.socket, client: socket.socket) -> None:
    """An accepted socket sends until its verdict is stored on it: a processor remembers it for a second before."""
    while verdict_on(site, accepted) is None:
        assert sending(site, accepted.send, client) is None


@contextmanager
def one_processor() -> Iterator[None]:
    """Run on one processor, since each remembers for itself."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)


def before_it_is_forgotten(site: Site, play: Callable[[], Played]) -> Played:
    """What `play` returns when it begins and ends in one unit of the clock, at whose end all is forgotten."""
    while True:
        began = clock.now()
        played = play()
        if clock.now() == began:
            return played
        site.close()


@contextmanager
def stamped() -> Iterator[None]:
    """Packets at the loopback bear a pod's stamp, as at a pod's own device. To be entered before `guarded`."""
    with ExitStack() as stack:
        program = stamp.load(1)
        stack.callback(os.close, program)
        for side in (programs.TCX_INGRESS, programs.TCX_EGRESS):
            stack.callback(os.close, libbpf.link_create(program, LOOPBACK, side))
        yield


def test_short_connection_needs_no_storage(site: Site, kind: Kind) -> None:
    """The verdict on a SYN serves its connection for a moment, and a longer connection stores its own."""
    with one_processor(), stamped(), site.guarded(*GUARDS["idle"]):
        pod(site, kind.server, SERVERS_SET, INGRESS)

        def exchange() -> tuple[bytes | None, socket.socket, socket.socket]:
            client, accepted = established(site, kind)
            for speaker, listener in ((client, accepted), (accepted, client)):
                assert sending(site, speaker.send, listener) is None
            return verdict_on(site, accepted), client, accepted

        stored, client, accepted = before_it_is_forgotten(site, exchange)
        assert stored is None
        speak_until_stored(site, accepted, client)


@idle
def test_remembered_verdict_ends_with_its_revision(site: Site, kind: Kind) -> None:
    """A connection whose verdict is only remembered is judged again when the revision changes."""
    pod(site, kind.server, SERVERS_SET, INGRESS)
    client, accepted = established(site, kind)
    pod(site, kind.server, SERVERS_SET)
    site.tables.settings.write(rev=2)
    assert sending(site, accepted.send, client) == DENIED[INGRESS]


@idle
def test_answer_to_a_syn_has_the_pods_own_address(site: Site, kind: Kind) -> None:
    """A SYN-ACK whose SYN was allowed does not leave a device that does not belong to its source address."""
    pod(site, kind.server, SERVERS_SET, INGRESS)
    site.tables.pod(kind.server.address, Place(ifindex=LOOPBACK + 1), policy=SERVERS_SET)
    site.listen(kind.server)
    client = site.at(kind, STREAM, kind.client)
    assert connecting(site, client, kind.spelled(kind.server)) == Reason.DROP_SPOOFED


@idle
def test_accepted_socket_is_judged_by_each_revision(site: Site, kind: Kind) -> None:
    """And by none of its segments in between."""
    pod(site, kind.server, SERVERS_SET, INGRESS)
    client, accepted = established(site, kind)
    speak_until_stored(site, accepted, client)
    pod(site, kind.server, SERVERS_SET)
    assert sending(site, accepted.send, client) is None
    site.tables.settings.write(rev=2)
    assert sending(site, accepted.send, client) == DENIED[INGRESS]


@idle
def test_accepted_socket_without_memory(site: Site, kind: Kind) -> None:
    """A socket on which nothing can be stored is judged under each revision, too."""
    with memory(0):
        site.tables.settings.flag(CfgFlag.POLICY_AT_SOCKET, on=False)
        client, accepted = established(site, kind)
        for way, expected in ((INGRESS, None), (EGRESS, DENIED[INGRESS]), (INGRESS, None)):
            pod(site, kind.server, SERVERS_SET, way)
            site.tables.settings.grow("rev")
            assert sending(site, accepted.send, client) == expected


def test_connect_that_cannot_be_noted(site: Site, kind: Kind) -> None:
    """Where policy is, a socket without memory connects to nobody: it would count as accepted."""
    site.listen(kind.server)
    client = site.at(kind, STREAM, kind.client)
    with memory(0), pytest.raises(OSError, match=r"No buffer|not permitted"):
        client.connect(kind.spelled(kind.server))
    client.connect(kind.spelled(kind.server))


@idle
def test_address_that_is_another_pods_now(site: Site, kind: Kind) -> None:
    """Whose an address is, is asked again with each revision of policy, and not with each packet."""
    pod(site, kind.server, SERVERS_SET, INGRESS)
    client, accepted = established(site, kind)
    speak_until_stored(site, accepted, client)
    site.tables.pod(kind.server.address, Place(ifindex=LOOPBACK + 1), policy=SERVERS_SET)
    assert sending(site, accepted.send, client) is None
    site.tables.settings.write(rev=2)
    assert sending(site, accepted.send, client) == Reason.DROP_SPOOFED


def says(raw: socket.socket, source: End, target: End) -> None:
    """Somebody makes a segment that begins nothing up."""
    header = 20 if source.address.version == 4 else 40
    with suppress(OSError):
        raw.sendto(tcp(source, target, ACK)[14 + header :], (str(target.address), 0))


@idle
@pytest.mark.parametrize("net", [V4, V6], ids=["v4", "v6"])
def test_segment_after_its_connection(site: Site, net: Net) -> None:
    """After a connection has gone, its peer's segments pass for two seconds at most, and under its revision."""
    kind = KINDS[f"v{net.version}"]
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    family = socket.AF_INET if net.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_RAW, TCP) as raw:
        raw.bind((str(net.server), 0))
        for anew in (False, True):
            client, accepted = established(site, kind)
            assert sending(site, accepted.send, client) is None
            ends = kind.server, End(net.client, client.getsockname()[1])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            if anew:
                site.tables.settings.grow("rev")
            before, asked = site.tables.counts()[Reason.DROP_POLICY_INGRESS], time.monotonic()
            while site.tables.counts()[Reason.DROP_POLICY_INGRESS] == before:
                says(raw, *ends)
                assert time.monotonic() - asked < (0.5 if anew else 2.2)
            site.close()


@idle
@pytest.mark.parametrize("net", [V4, V6], ids=["v4", "v6"])
def test_devices_of_one_index_differ_by_their_stamps(site: Site, loader: Loader, net: Net) -> None:
    """What is remembered of a connection counts at its pod's device, not at another pod's of the same index."""
    own, other = {"stamp": 1}, {"stamp": 2}
    assert fates(site, loader, net, own, own, other) == [UNSPEC, UNSPEC, SHOT]


@idle
@pytest.mark.parametrize("net", [V4, V6], ids=["v4", "v6"])
def test_host_side_has_no_stamp(site: Site, loader: Loader, net: Net) -> None:
    """A connection is remembered at a host side whatever TCP left in the packet where stamps are elsewhere."""
    one, other = {"stamp": 1, "came_in_by": 0}, {"stamp": 2, "came_in_by": 0}
    assert fates(site, loader, net, one, other) == [UNSPEC, UNSPEC]


def fates(site: Site, loader: Loader, net: Net, first: dict[str, int], *later: dict[str, int]) -> list[int]:
    """What becomes of a segment to a pod while its connection is open, and after its end, as `meets` is given."""
    kind = KINDS[f"v{net.version}"]
    pod(site, kind.client, CLIENTS_SET, EGRESS)
    (program,) = loader.load((programs.GUARD_TO,)).values()

    def meet_all() -> list[int]:
        client, _ = established(site, kind)
        segment = tcp(kind.server, End(net.client, client.getsockname()[1]), ACK)
        found = [meets(program, segment, **first)]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        return found + [meets(program, segment, **each) for each in later]

    try:
        with one_processor():
            return before_it_is_forgotten(site, meet_all)
    finally:
        os.close(program)


def meets(program: int, segment: bytes, *, stamp: int, came_in_by: int = LOOPBACK) -> int:
    """What becomes of a segment to a pod, with this stamp, at a device that it came in by or not."""
    context = testrun.Context(ifindex=LOOPBACK, ingress_ifindex=came_in_by)
    context.cb[4] = stamp
    return testrun.run(program, segment, context).action
