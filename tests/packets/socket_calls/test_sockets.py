"""The socket hooks under real sockets: which backends programs are given, and which names they see."""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.packets.sockets import SECONDS, Kind, Site, disconnect, node, plain, reply
from tests.packets.tables import Tables
from twinway_bpf.load.loader import Loader
from twinway_bpf.netlink import netns
from twinway_bpf.tables.layout import Cfg, CfgFlag, Reason
from twinway_bpf.tables.settings import Settings
from twinway_testing import site as places
from twinway_testing.frames import TCP, UDP, End

STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
each_type = pytest.mark.parametrize("what", [STREAM, DATAGRAM], ids=["tcp", "udp"])


@pytest.fixture
def site(whole_site: Site, kind: Kind) -> Iterator[Site]:
    """Only the Service, for TCP and UDP; the host's own sockets are served."""
    whole_site.tables.clear()
    whole_site.learn_host()
    for protocol in (TCP, UDP):
        whole_site.tables.service(kind.vip, kind.server, protocol=protocol)
    yield whole_site
    whole_site.close()


def refusal(call: Callable[[], object]) -> int | None:
    """The errno that a call fails with; None if it does not."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


@each_type
def test_connect_is_given_the_backend(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """A connected socket reaches the backend, and believes to speak with the Service."""
    server = site.listen(kind.server) if what == STREAM else site.receive(kind.server)
    client = site.open(kind, what)
    client.connect(kind.spelled(kind.vip))
    assert client.getpeername()[:2] == kind.spelled(kind.vip)
    client.send(b"hello")
    if what == DATAGRAM:
        assert reply(server) == b"hello"
        assert client.recvfrom(100)[1][:2] == kind.spelled(kind.vip)
        return
    accepted, who = server.accept()
    with accepted:
        assert accepted.recv(100) == b"hello"
        assert plain(who)[1] == client.getsockname()[1]


def test_sendto_is_given_the_backend(site: Site, kind: Kind) -> None:
    """An unconnected socket reaches the backend, and is answered by the Service."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.sendto(b"hello", kind.spelled(kind.vip))
    assert reply(server) == b"hello"
    assert client.recvfrom(100)[1][:2] == kind.spelled(kind.vip)


def test_unconnected_socket_keeps_its_backend(site: Site, kind: Kind) -> None:
    """Datagrams of one socket to one Service go to one backend, as long as that serves."""
    site.tables.service(kind.vip, kind.server, *kind.others, protocol=UDP)
    servers = [site.receive(each) for each in (kind.server, *kind.others)]
    client = site.open(kind, DATAGRAM)
    for _ in range(12):
        client.sendto(b"hello", kind.spelled(kind.vip))
    assert sorted(_received(server) for server in servers) == [0, 0, 12]


def test_unconnected_socket_leaves_a_backend_that_is_gone(site: Site, kind: Kind) -> None:
    """The first datagram after its backend went is given another one, and is answered by the Service."""
    first, second = site.receive(kind.server), site.receive(kind.others[0])
    client = site.open(kind, DATAGRAM)
    client.sendto(b"hello", kind.spelled(kind.vip))
    assert _received(first) == 1
    site.tables.service(kind.vip, kind.others[0], protocol=UDP)
    site.tables.forget_backend(kind.server, UDP)
    client.sendto(b"hello", kind.spelled(kind.vip))
    reply(second)
    assert client.recvfrom(100)[1][:2] == kind.spelled(kind.vip)


def _received(server: socket.socket) -> int:
    count = 0
    server.setblocking(False)
    with suppress(BlockingIOError):
        while server.recv(100):
            count += 1
    return count


def test_connections_are_spread(site: Site, kind: Kind) -> None:
    """Every backend gets its share of the sockets that connect."""
    backends = (kind.server, *kind.others)
    site.tables.service(kind.vip, *backends, protocol=UDP)
    servers = [site.receive(each) for each in backends]
    for _ in range(90):
        client = site.open(kind, DATAGRAM)
        client.connect(kind.spelled(kind.vip))
        client.send(b"hello")
    shares = Counter({number: _received(server) for number, server in enumerate(servers)})
    assert sum(shares.values()) == 90
    # each share is 30 with a deviation of 4.5: less than 7 comes once in ten million runs
    assert min(shares.values()) >= 7


def test_connecting_again(site: Site, kind: Kind) -> None:
    """A socket connected to something else has forgotten the Service: names are what they are."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    client.connect(kind.spelled(kind.server))
    assert client.getpeername()[:2] == kind.spelled(kind.server)
    client.send(b"hello")
    reply(server)
    assert client.recvfrom(100)[1][:2] == kind.spelled(kind.server)
    client.connect(kind.spelled(kind.vip))
    assert client.getpeername()[:2] == kind.spelled(kind.vip)


def test_connecting_to_nothing(site: Site, kind: Kind) -> None:
    """After connect() to AF_UNSPEC the backend, asked directly, answers by its own name."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.connect(kind.spelled(kind.vip))
    disconnect(client)
    assert refusal(client.getpeername) == errno.ENOTCONN
    client.sendto(b"hello", kind.spelled(kind.server))
    reply(server)
    assert client.recvfrom(100)[1][:2] == kind.spelled(kind.server)


def test_asking_the_backend_directly_after_the_service(site: Site, kind: Kind) -> None:
    """An unconnected socket that turns from the Service to its backend is answered by the backend's name."""
    server = site.receive(kind.server)
    client = site.open(kind, DATAGRAM)
    client.sendto(b"hello", kind.spelled(kind.vip))
    reply(server)
    client.recvfrom(100)
    client.sendto(b"hello", kind.spelled(kind.server))
    reply(server)
    assert client.recvfrom(100)[1][:2] == kind.spelled(kind.server)


@each_type
def test_direct_connection_is_left_alone(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """A socket connected to the backend itself sees the backend's name."""
    if what == STREAM:
        site.listen(kind.server)
    client = site.open(kind, what)
    client.connect(kind.spelled(kind.server))
    assert client.getpeername()[:2] == kind.spelled(kind.server)


@each_type
@pytest.mark.parametrize("port", [83, 84], ids=["no backend", "no port"])
def test_connect_is_refused(site: Site, kind: Kind, what: socket.SocketKind, port: int) -> None:
    """A Service without a backend, and a port that it has not, refuse as a closed port does."""
    site.tables.service(End(kind.vip.address, 83), protocol=TCP if what == STREAM else UDP)
    client = site.open(kind, what)
    target = kind.spelled(End(kind.vip.address, port))
    assert refusal(lambda: client.connect(target)) == errno.ECONNREFUSED


@pytest.mark.parametrize("port", [83, 84], ids=["no backend", "no port"])
def test_sendto_is_refused(site: Site, kind: Kind, port: int) -> None:
    """So does a datagram of an unconnected socket."""
    site.tables.service(End(kind.vip.address, 83), protocol=UDP)
    client = site.open(kind, DATAGRAM)
    target = kind.spelled(End(kind.vip.address, port))
    assert refusal(lambda: client.sendto(b"hello", target)) == errno.ECONNREFUSED


@each_type
def test_call_of_a_service_that_drops(site: Site, kind: Kind, what: socket.SocketKind) -> None:
    """Where packets would be dropped, a call fails at once with the error of a connection that timed out."""
    site.tables.service(End(kind.vip.address, 83), protocol=TCP if what == STREAM else UDP, drops=True)
    client, target = site.open(kind, what), kind.spelled(End(kind.vip.address, 83))
    assert refusal(lambda: client.connect(target)) == errno.ETIMEDOUT
    if what == DATAGRAM:
        assert refusal(lambda: client.sendto(b"hello", target)) == errno.ETIMEDOUT


def test_pods_are_served_when_asked(site: Site, kind: Kind) -> None:
    """A pod's sockets are left to its packets, until they are to be served here."""
    client = site.in_pod(kind, DATAGRAM)
    assert site.tables.settings.flag(CfgFlag.PODS_AT_SOCKET, on=True)
    client.connect(kind.spelled(kind.vip))
    assert client.getpeername()[:2] == kind.spelled(kind.vip)
    assert site.tables.settings.flag(CfgFlag.PODS_AT_SOCKET, on=False)
    untouched = site.in_pod(kind, DATAGRAM)
    assert refusal(lambda: untouched.connect(kind.spelled(kind.vip))) == errno.ENETUNREACH
    assert refusal(lambda: untouched.sendto(b"hello", kind.spelled(kind.vip))) == errno.ENETUNREACH


def test_probe_tells_whether_hooks_are_there(site: Site) -> None:
    """The probe goes through the hooks in the host and in a pod, and passes by them outside of the cgroup."""
    settings = site.tables.settings
    assert site.health.ok
    host = settings.read().host_netns
    assert host != 0
    with netns.inside(str(site.pod)):
        assert site.health.ok
    assert site.tables.notices.read().probe_netns != host
    with places.member(places.cgroup2()):
        assert not site.health.ok


def test_agent_and_hooks_write_tables_of_their_own(site: Site) -> None:
    """What a hook notes between an agent's reading and its writing stays."""
    read = Settings.read

    def reading(settings: Settings) -> Cfg:
        found = read(settings)
        assert site.health.ok
        return found

    before = site.tables.notices.read().probes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "read", reading)
        site.tables.settings.grow("rev")
    assert site.tables.notices.read().probes > before


def test_hooks_set_twice_are_there_once(site: Site, kind: Kind) -> None:
    """Setting the hooks again replaces each program in its place."""
    site.attach()
    client = site.open(kind, DATAGRAM)
    before = site.tables.counts()[Reason.SOCKET_SERVED]
    client.connect(kind.spelled(kind.vip))
    assert site.tables.counts()[Reason.SOCKET_SERVED] == before + 1


def _connect(port: int) -> Callable[[Site, Kind], object]:
    return lambda site, kind: refusal(
        lambda: site.open(kind, DATAGRAM).connect(kind.spelled(End(kind.vip.address, port)))
    )


def _without_backend(site: Site, kind: Kind) -> object:
    site.tables.service(End(kind.vip.address, 83), protocol=UDP)
    return _connect(83)(site, kind)


def _not_local(site: Site, kind: Kind) -> object:
    site.tables.service(End(kind.vip.address, 83), protocol=UDP, drops=True)
    return _connect(83)(site, kind)


def _without_slots(site: Site, kind: Kind) -> object:
    slots = site.tables.maps["slot"]
    slots.remove(list(slots.entries()))
    return _connect(80)(site, kind)


def _directly(site: Site, kind: Kind) -> object:
    return refusal(lambda: site.open(kind, DATAGRAM).connect(kind.spelled(kind.server)))


REACHED: dict[Reason, tuple[int | None, Callable[[Site, Kind], object]]] = {
    Reason.SOCKET_SERVED: (None, _connect(80)),
    Reason.SOCKET_PASSED: (None, _directly),
    Reason.REJECT_NO_BACKEND: (errno.ECONNREFUSED, _without_backend),
    Reason.REJECT_NO_PORT: (errno.ECONNREFUSED, _connect(84)),
    Reason.DROP_RACE: (errno.ECONNREFUSED, _without_slots),
    Reason.DROP_NOT_LOCAL: (errno.ETIMEDOUT, _not_local),
}
"""What the call answers, and a call that reaches the reason."""


@pytest.mark.parametrize("reason", REACHED, ids=lambda reason: reason.name.lower())
def test_is_reached(site: Site, kind: Kind, reason: Reason) -> None:
    """A socket call gets there, and is counted once."""
    answer, call = REACHED[reason]
    before = site.tables.counts()
    assert call(site, kind) == answer
    given = [each for each, count in site.tables.counts().items() if count != before[each]]
    assert given == [reason]


def test_hooks_that_are_gone_are_noticed(loader: Loader, tmp_path: Path) -> None:
    """Detached hooks leave no pin, and a connect passes by where they were."""
    tables = Tables(loader.maps)
    with places.bpf_file_system(tmp_path / "bpf") as bpffs, node(loader, tables, bpffs) as site:
        assert site.health.ok
        site.detach()
        ends = time.monotonic() + SECONDS
        while site.health.ok:  # the kernel lets go of a link when nobody can be using it any more
            assert time.monotonic() < ends
        assert "did not meet" in site.health.detail
        assert not list(bpffs.glob("sockets/links/*/*"))
