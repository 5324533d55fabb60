"""Services: what programs see through their sockets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, FAR, N1, NEAR, VAULT
from twinway_conformance.objects import Object, port
from twinway_conformance.running import SERVED, serving
from twinway_conformance.sockets import refusal
from twinway_conformance.stage import Stage

PORT = 7070
PLACES = (CLIENT, N1)


@pytest.fixture(autouse=True, scope="module")
def _servers(stage: Stage) -> Iterator[None]:
    stage.hold(*services(stage))
    with serving(stage.lab, NEAR, FAR, VAULT):
        yield


def services(stage: Stage) -> list[Object]:
    """Two Services of one backend each, on one port of both protocols, and one whose backend's port is closed."""
    ports = [port(PORT, SERVED), port(PORT, SERVED, "UDP")]
    closed = [port(PORT, SERVED + 1), port(PORT, SERVED + 1, "UDP")]
    return [
        stage.service("shop/one", ports, {"name": "near"}),
        stage.service("shop/two", ports, {"name": "far"}),
        stage.service("shop/closed", closed, {"name": "far"}),
    ]


def addresses(stage: Stage) -> Iterator[tuple[int, str, str, str]]:
    """The number of each family, and the addresses of Services `one`, `two` and `closed` in it."""
    three = (service["spec"]["clusterIPs"] for service in services(stage))
    for family, (one, two, closed) in zip(stage.families, zip(*three, strict=True), strict=True):
        yield family, one, two, closed


@pytest.mark.row("getpeername")
def test_getpeername(stage: Stage) -> None:
    """The peer of a connected TCP or UDP socket is the Service that it connected to, before and after traffic."""
    for place in PLACES:
        with stage.talk(place) as talk:
            for family, one, _, _ in addresses(stage):
                for kind in (talk.tcp, talk.udp):
                    socket = kind(family)
                    socket.connect(one, PORT)
                    before, said, after = socket.peer(), socket.ask("hello"), socket.peer()
                    assert said.startswith(f"{NEAR} ")
                    assert before == after == [one, PORT], f"{place}: expected {one}, got {before}, {after}"


@pytest.mark.row("getsockname")
def test_getsockname(stage: Stage) -> None:
    """A socket connected to a Service has the pod's own address, and the backend sees the same address."""
    with stage.talk(CLIENT) as talk:
        for (family, one, two, _), own in zip(
            addresses(stage), cast.pod_addresses(CLIENT, stage.families), strict=True
        ):
            for kind in (talk.tcp, talk.udp):
                for service, backend in ((one, NEAR), (two, FAR)):
                    socket = kind(family)
                    socket.connect(service, PORT)
                    assert socket.own()[0] == own
                    assert socket.ask("hello") == f"{backend} {own} hello"


@pytest.mark.row("recvmsg-source")
def test_unconnected_udp(stage: Stage) -> None:
    """Answers to an unconnected UDP socket come from the Service that was asked, with two Services at once."""
    for place in PLACES:
        with stage.talk(place) as talk:
            for family, one, two, _ in addresses(stage):
                socket = talk.udp(family)
                for service, backend in ((one, NEAR), (two, FAR), (one, NEAR), (two, FAR)):
                    said, sender = socket.ask_at(service, PORT, "hello")
                    assert (said.split()[0], list(sender)) == (backend, [service, PORT]), f"{place}, IPv{family}"


@pytest.mark.row("recvmsg-direct")
def test_unconnected_udp_beside_services(stage: Stage) -> None:
    """One unconnected UDP socket asks a Service and a pod alternately; each answer has the address asked."""
    with stage.talk(CLIENT) as talk:
        pods = cast.pod_addresses(VAULT, stage.families)
        for (family, one, _, _), pod in zip(addresses(stage), pods, strict=True):
            socket = talk.udp(family)
            for address, number, backend in ((one, PORT, NEAR), (pod, SERVED, VAULT), (one, PORT, NEAR)):
                said, sender = socket.ask_at(address, number, "hello")
                assert (said.split()[0], list(sender)) == (backend, [address, number]), f"IPv{family}"


@pytest.mark.row("udp-reconnect")
def test_reconnected_udp(stage: Stage) -> None:
    """One UDP socket connects to a Service, another one, a pod, and the first again, and follows each time."""
    for place in PLACES:
        with stage.talk(place) as talk:
            pods = cast.pod_addresses(VAULT, stage.families)
            for (family, one, two, _), pod in zip(addresses(stage), pods, strict=True):
                socket = talk.udp(family)
                for address, number, backend in (
                    (one, PORT, NEAR),
                    (two, PORT, FAR),
                    (pod, SERVED, VAULT),
                    (one, PORT, NEAR),
                ):
                    socket.connect(address, number)
                    assert socket.peer() == [address, number], f"{place}, IPv{family}"
                    assert socket.ask("hello").split()[0] == backend, f"{place}, IPv{family}: {address}"


@pytest.mark.row("udp-disconnect")
def test_disconnected_udp(stage: Stage) -> None:
    """After connect(AF_UNSPEC), a UDP socket has no peer, and can ask others."""
    # An IPv6 socket can only ask its former peer, because Linux itself continues to filter by it.
    for place in PLACES:
        with stage.talk(place) as talk:
            pods = cast.pod_addresses(VAULT, stage.families)
            for (family, one, two, _), pod in zip(addresses(stage), pods, strict=True):
                socket = talk.udp(family)
                socket.connect(one, PORT)
                assert socket.ask("hello").split()[0] == NEAR
                socket.disconnect()
                assert refusal(socket.peer) == "ENOTCONN", f"{place}, IPv{family}"
                others = ((two, PORT, FAR), (pod, SERVED, VAULT)) if family == 4 else ()
                for address, number, backend in (*others, (one, PORT, NEAR)):
                    said, sender = socket.ask_at(address, number, "hello")
                    assert (said.split()[0], list(sender)) == (backend, [address, number]), f"{place}, IPv{family}"
                socket.connect(two, PORT)
                assert socket.ask("hello").split()[0] == FAR, f"{place}, IPv{family}"


@pytest.mark.row("udp-rebind")
def test_one_port_two_services(stage: Stage) -> None:
    """A client port that asked one Service can ask another, which answers from its own address."""
    with stage.talk(CLIENT) as talk:
        for (family, one, two, _), own in zip(
            addresses(stage), cast.pod_addresses(CLIENT, stage.families), strict=True
        ):
            for service, backend in ((one, NEAR), (two, FAR)):
                socket = talk.udp(family, bind=[own, 4444])
                socket.connect(service, PORT)
                assert socket.ask("hello") == f"{backend} {own} hello", f"IPv{family}"
                socket.close()


@pytest.mark.row("udp-one-backend")
def test_one_port_one_backend_two_ways(stage: Stage) -> None:
    """A client port asks a pod alternately through a Service and directly; answers have the address asked."""
    with stage.talk(CLIENT) as talk:
        owns, pods = (cast.pod_addresses(name, stage.families) for name in (CLIENT, NEAR))
        for (family, one, _, _), own, pod in zip(addresses(stage), owns, pods, strict=True):
            for address, number in ((one, PORT), (pod, SERVED), (one, PORT), (pod, SERVED)):
                socket = talk.udp(family, bind=[own, 4445])
                socket.connect(address, number)
                assert socket.ask("hello") == f"{NEAR} {own} hello", f"IPv{family}: {address}"
                socket.close()


@pytest.mark.row("v4-mapped")
def test_v4_mapped(stage: Stage) -> None:
    """An IPv6 socket that uses IPv4 (::ffff:a.b.c.d) is served like an IPv4 one, and sees mapped addresses."""
    if 4 not in stage.families:
        pytest.skip("no IPv4 in an IPv6 cluster")
    one = services(stage)[0]["spec"]["clusterIPs"][0]
    for place in PLACES:
        with stage.talk(place) as talk:
            for kind in (talk.tcp, talk.udp):
                socket = kind(6, mapped=True)
                socket.connect(f"::ffff:{one}", PORT)
                assert socket.ask("hello").split()[0] == NEAR
                assert socket.peer() == [f"::ffff:{one}", PORT], place
            said, sender = talk.udp(6, mapped=True).ask_at(f"::ffff:{one}", PORT, "hello")
            assert (said.split()[0], list(sender)) == (NEAR, [f"::ffff:{one}", PORT]), place


@pytest.mark.row("port-unreachable")
def test_port_unreachable(stage: Stage) -> None:
    """When a backend answers with ICMP port unreachable, the client's connected UDP socket gets an error."""
    with stage.talk(CLIENT) as talk:
        for family, _, _, closed in addresses(stage):
            socket = talk.udp(family)
            socket.connect(closed, PORT)
            assert refusal(partial(socket.ask, "hello")) == "ECONNREFUSED", f"IPv{family}"


@pytest.mark.row("reset")
def test_reset(stage: Stage) -> None:
    """When a backend's port is closed, the client's connect() is refused, as if it had connected directly."""
    for place in PLACES:
        with stage.talk(place) as talk:
            for family, _, _, closed in addresses(stage):
                socket = talk.tcp(family)
                assert refusal(partial(socket.connect, closed, PORT)) == "ECONNREFUSED", f"{place}, IPv{family}"


@pytest.mark.row("bulk")
def test_bulk(stage: Stage) -> None:
    """Eight megabytes through a Service arrive complete and in order."""
    size = 8 << 20
    with stage.talk(CLIENT) as talk:
        for family, one, two, _ in addresses(stage):
            for service in (one, two):
                socket = talk.tcp(family)
                socket.connect(service, PORT)
                assert socket.flood(size) == size, f"IPv{family}: {service}"
