"""Services: the effect of changes on connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, N1, NEAR, SERVERS, VAULT
from twinway_conformance.objects import Object, both, container_port, pod, port
from twinway_conformance.probes import CONNECTED, DROPPED, REJECTED, Due, Query, connects, rejects
from twinway_conformance.running import SERVED, loading, serving
from twinway_conformance.sockets import CallError, Remote, Socket
from twinway_conformance.stage import Stage

PORT = 7070
TARGETS = {"line": SERVED, "datagram": SERVED}
CLIENTS = (CLIENT, N1)


@pytest.fixture(autouse=True, scope="module")
def _servers(stage: Stage) -> Iterator[None]:
    stage.hold()
    with serving(stage.lab, NEAR, FAR):
        yield


def bare(stage: Stage, name: str = "shop/moving") -> Object:
    """A Service whose EndpointSlices the test writes, for the programs of `serving`."""
    return stage.service(name, [port(PORT, 1, name="line"), port(PORT, 1, "UDP", name="datagram")])


def web(stage: Stage, name: str = "shop/web", number: int = 8080, target: int = 80) -> Object:
    """A Service of two backends."""
    return stage.service(name, [port(number, target), port(5353, 53, "UDP")], SERVERS)


def asked(remote: Remote, family: int, address: str, socket: Socket | None = None) -> tuple[str, Socket]:
    """
    The backend that answers a connected UDP socket, and that socket.

    A socket that gets an error is opened again, as resolvers do. Silence raises CallError.
    """
    for _ in range(3):
        try:
            if socket is None:
                socket = remote.udp(family)
                socket.connect(address, PORT)
            return socket.ask("hello").split()[0], socket
        except CallError as failure:
            if failure.error == "timeout":
                raise
            socket = None
    raise AssertionError(f"{address} refuses again and again")


@pytest.mark.row("stale-udp-connected")
def test_removed_backend_of_connected_udp(stage: Stage) -> None:
    """After its backend is removed, a connected UDP socket gets an error or another backend, never silence."""
    service = bare(stage)
    for place in CLIENTS:
        stage.hold(service, *stage.slices(service, TARGETS, NEAR))
        with stage.talk(place) as talk:
            held = [(family, address, asked(talk, family, address)) for family, address in stage.vips(service)]
            assert {backend for _, _, (backend, _) in held} == {NEAR}
            stage.apply(*stage.slices(service, TARGETS, FAR))
            for family, address, (_, socket) in held:
                backend, heir = asked(talk, family, address, socket)
                assert backend == FAR, f"{place}, IPv{family}"
                assert asked(talk, family, address, heir)[0] == FAR, f"{place}, IPv{family}, the second time"


@pytest.mark.row("early-udp")
def test_udp_that_was_connected_before_the_service(stage: Stage) -> None:
    """A UDP socket that connected to an address before a Service had it is never met with silence afterwards."""
    service = bare(stage)
    for place in CLIENTS:
        stage.hold()
        with stage.talk(place) as talk:
            before = [
                (family, address, _unanswered(talk, family, address)) for family, address in stage.vips(service)
            ]
            stage.apply(service, *stage.slices(service, TARGETS, NEAR))
            for family, address, socket in before:
                assert asked(talk, family, address, socket)[0] == NEAR, f"{place}, IPv{family}"


def _unanswered(talk: Remote, family: int, address: str) -> Socket:
    socket = talk.udp(family)
    socket.connect(address, PORT)
    with pytest.raises(CallError):
        socket.ask("hello", timeout=0.2)
    return socket


@pytest.mark.row("stale-udp-unconnected")
def test_removed_backend_of_unconnected_udp(stage: Stage) -> None:
    """After its backend is removed, an unconnected UDP socket gets another at once, and keeps its own port."""
    service = bare(stage)
    for place in CLIENTS:
        stage.hold(service, *stage.slices(service, TARGETS, NEAR))
        with stage.talk(place) as talk:
            sockets = [(talk.udp(family), address) for family, address in stage.vips(service)]
            for socket, address in sockets:
                assert socket.ask_at(address, PORT, "hello")[0].startswith(f"{NEAR} ")
            ports = [socket.own()[1] for socket, _ in sockets]
            stage.apply(*stage.slices(service, TARGETS, FAR))
            for socket, address in sockets:
                said, sender = socket.ask_at(address, PORT, "hello")
                assert (said.split()[0], list(sender)) == (FAR, [address, PORT]), place
            assert [socket.own()[1] for socket, _ in sockets] == ports


@pytest.mark.row("stale-udp-shared")
def test_removed_backend_that_another_service_has(stage: Stage) -> None:
    """A backend that is removed from one of two Services answers UDP clients of the other alone."""
    service, other = bare(stage), bare(stage, "shop/staying")
    for place in CLIENTS:
        stage.hold(
            service, other, *(each for one in (service, other) for each in stage.slices(one, TARGETS, NEAR))
        )
        with stage.talk(place) as talk:
            leaving, staying = (
                [(family, address, asked(talk, family, address)[1]) for family, address in stage.vips(one)]
                for one in (service, other)
            )
            stage.apply(*stage.slices(service, TARGETS, FAR))
            for family, address, socket in leaving:
                assert asked(talk, family, address, socket)[0] == FAR, f"{place}, IPv{family}"
            for _, _, socket in staying:
                assert socket.ask("hello").startswith(f"{NEAR} "), place


@pytest.mark.row("stale-udp-empty")
def test_udp_through_an_empty_service(stage: Stage) -> None:
    """A UDP client that sends while a Service has no endpoints is answered as soon as there is one again."""
    service = bare(stage)
    stage.hold(service, *stage.slices(service, TARGETS, NEAR))
    with stage.talk(CLIENT) as talk:
        sockets = [(talk.udp(family), address) for family, address in stage.vips(service)]
        for socket, address in sockets:
            assert socket.ask_at(address, PORT, "hello")[0].startswith(f"{NEAR} ")
        stage.apply(*stage.slices(service, TARGETS))
        for socket, address in sockets:
            with pytest.raises(CallError):
                socket.ask_at(address, PORT, "hello")
        stage.apply(*stage.slices(service, TARGETS, FAR))
        for socket, address in sockets:
            answers = [_patiently(socket, address) for _ in range(2)]
            assert answers[-1] == FAR


def _patiently(socket: Socket, address: str) -> str:
    # The next call returns the error that is left from the time without endpoints, and clears it.
    try:
        return socket.ask_at(address, PORT, "hello")[0].split()[0]
    except CallError as failure:
        return failure.error


@pytest.mark.row("terminating-kept")
def test_connections_of_a_terminating_backend(stage: Stage) -> None:
    """When its backend begins to terminate, an established connection continues; new ones get other backends."""
    service = bare(stage)
    stage.hold(service, *stage.slices(service, TARGETS, NEAR))
    with stage.talk(CLIENT) as talk:
        held = []
        for family, address in stage.vips(service):
            socket = talk.tcp(family)
            socket.connect(address, PORT)
            assert socket.ask("before").split()[0] == NEAR
            held.append((family, address, socket))
        stage.apply(*stage.slices(service, TARGETS, (NEAR, "terminating"), FAR))
        for family, address, socket in held:
            fresh = talk.tcp(family)
            fresh.connect(address, PORT)
            assert fresh.ask("new").split()[0] == FAR, f"IPv{family}"
            assert [socket.ask(str(number)).split()[0] for number in range(3)] == [NEAR] * 3, f"IPv{family}"


@pytest.mark.row("created-deleted")
def test_created_and_deleted(stage: Stage) -> None:
    """A Service answers when `apply` returns, and no longer answers when `delete` returns."""
    service = web(stage, "shop/brief")
    stage.hold()
    for _ in range(2):
        stage.apply(service)
        stage.expect(
            connects(Query(place, to), {NEAR, FAR})
            for place in (CLIENT, DOG, N1)
            for to in stage.at(service, 8080)
        )
        stage.delete(service)
        gone = frozenset({DROPPED, REJECTED})
        stage.expect(
            Due(Query(place, to, timeout=1.0), gone)
            for place in (CLIENT, DOG, N1)
            for to in stage.at(service, 8080)
        )


@pytest.mark.row("ports-changed")
def test_changed_ports(stage: Stage) -> None:
    """After a Service's port is renumbered, the new number answers and the old one is rejected."""
    stage.hold(web(stage))
    stage.expect(connects(Query(CLIENT, to), {NEAR, FAR}) for to in stage.at(web(stage), 8080))
    changed = web(stage, number=8888)
    stage.apply(changed)
    stage.expect([connects(Query(CLIENT, to), {NEAR, FAR}) for to in stage.at(changed, 8888)])
    stage.expect([rejects(CLIENT, to) for to in stage.at(changed, 8080)])


@pytest.mark.row("backends-changed")
def test_changed_backends(stage: Stage) -> None:
    """New connections follow the endpoints, when these change to another backend, to none, and back."""
    service = stage.service("shop/some", [port(8080, 80, name="web"), port(5353, 53, "UDP", name="dns")])
    asks = [
        (place, to, protocol)
        for place in (CLIENT, DOG, N1)
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(service, number)
    ]
    stage.hold(service)
    for backend in (NEAR, FAR, None, NEAR):
        members = [backend] if backend else []
        stage.apply(*stage.slices(service, {"web": 80, "dns": 53}, *members))
        stage.expect(
            connects(Query(place, to, protocol, count=3), backend) if backend else rejects(place, to, protocol)
            for place, to, protocol in asks
        )


@pytest.mark.row("pods-come-and-go")
def test_pods_come_and_go(stage: Stage) -> None:
    """When `sync` returns, a new pod is among the backends, and a deleted one is not."""
    service = web(stage)
    fresh = pod(
        "shop/fresh",
        "n1",
        both("10.244.1.50", stage.families),
        [container_port(80), container_port(53, "UDP")],
        SERVERS,
    )
    for extra, backends in (((fresh,), {NEAR, FAR, "shop/fresh"}), ((), {NEAR, FAR})):
        stage.hold(service, *extra)
        stage.expect_spread((Query(CLIENT, to, count=40) for to in stage.at(service, 8080)), backends)


@pytest.mark.row("change-under-load")
def test_change_under_load(stage: Stage) -> None:
    """While other Services are added and removed and backends are added, no connection loses a request."""
    service = bare(stage)
    stage.hold(service, *stage.slices(service, TARGETS, NEAR))
    clients = [(CLIENT, address, PORT) for address in service["spec"]["clusterIPs"]]
    with loading(stage.lab, *clients) as tallies:
        for number in range(3):
            stage.apply(web(stage, f"shop/passing-{number}"), *stage.slices(service, TARGETS, NEAR, FAR))
            stage.delete(web(stage, f"shop/passing-{number}"))
            stage.apply(*stage.slices(service, TARGETS, NEAR))
    for tally in tallies:
        assert not tally.losses, str(tally)


@pytest.mark.row("undisturbed")
def test_others_are_undisturbed(stage: Stage) -> None:
    """A change of one Service does not affect the others, nor traffic between pods."""
    stage.hold(web(stage), web(stage, "shop/other"))
    stage.apply(web(stage, "shop/other", number=8888))
    stage.expect(
        connects(Query(place, to, count=3), {NEAR, FAR})
        for place in (CLIENT, DOG, N1)
        for to in stage.at(web(stage), 8080)
    )
    stage.expect(
        [Due(Query(CLIENT, to), frozenset({CONNECTED}), frozenset({VAULT})) for to in stage.pod_at(VAULT, 80)]
    )
