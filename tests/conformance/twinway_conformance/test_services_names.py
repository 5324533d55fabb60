"""Services: sockets that use several of them, and the source address of each answer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, FAR, N1, NEAR, VAULT
from twinway_conformance.objects import Object, port
from twinway_conformance.running import SERVED, serving
from twinway_conformance.sockets import CallError, Socket, refusal
from twinway_conformance.stage import Stage

PORT = 7070
PLACES = (CLIENT, N1)
REFUSED = ("EADDRINUSE", "EPERM")
"""The errors of a datagram whose answer could not be attributed. Kernels before 5.18 have EPERM alone."""
UNAVAILABLE = ("EADDRNOTAVAIL", "EPERM")
DATAGRAM_PORTS = (53, 54)


@pytest.fixture(autouse=True, scope="module")
def _servers(stage: Stage) -> Iterator[None]:
    stage.hold(*twins(stage), *many(stage))
    with serving(stage.lab, NEAR, FAR, VAULT):
        yield


def twins(stage: Stage) -> list[Object]:
    """Two Services of one backend, and one of that backend and another."""
    ports = [port(PORT, SERVED), port(PORT, SERVED, "UDP")]
    return [
        stage.service("shop/left", ports, {"name": "near"}),
        stage.service("shop/right", ports, {"name": "near"}),
        stage.service("shop/wide", ports, {"role": "server"}),
    ]


def many(stage: Stage) -> list[Object]:
    """Six UDP Services of six backends."""
    return [
        stage.service(f"{pod.split('/')[0]}/{name}-{number}", [port(PORT, number, "UDP")], {"name": name})
        for pod, name in ((NEAR, "near"), (FAR, "far"), (VAULT, "vault"))
        for number in DATAGRAM_PORTS
    ]


def addresses(stage: Stage, services: list[Object]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The number of each family, and the Services' addresses in it."""
    each = (service["spec"]["clusterIPs"] for service in services)
    yield from zip(stage.families, zip(*each, strict=True), strict=True)


def heard(socket: Socket) -> list[object]:
    """The address and port that the next datagram comes from."""
    return list(socket.hear()[1])


@pytest.mark.row("udp-six-services")
def test_six_services_at_once(stage: Stage) -> None:
    """One unconnected UDP socket sends to six Services before it reads; each answers from its own address."""
    for place in PLACES:
        with stage.talk(place) as talk:
            for family, six in addresses(stage, many(stage)):
                socket = talk.udp(family)
                for address in six:
                    socket.send_at(address, PORT, "hello")
                came = sorted(map(str, (heard(socket) for _ in six)))
                assert came == sorted(str([address, PORT]) for address in six), f"{place}, IPv{family}"


@pytest.mark.row("udp-shared-backend")
def test_one_backend_in_turn(stage: Stage) -> None:
    """One UDP socket asks two Services of one backend, then the backend; each answer has the address asked."""
    pods = cast.pod_addresses(NEAR, stage.families)
    for place in PLACES:
        with stage.talk(place) as talk:
            for (family, (left, right, _)), pod in zip(addresses(stage, twins(stage)), pods, strict=True):
                socket = talk.udp(family)
                for name in ((left, PORT), (right, PORT), (pod, SERVED), (left, PORT)):
                    said, sender = socket.ask_at(*name, "hello")
                    assert (said.split()[0], tuple(sender)) == (NEAR, name), f"{place}, IPv{family}"


@pytest.mark.row("udp-shared-backend-at-once")
def test_one_backend_at_once(stage: Stage) -> None:
    """Two Services of one backend, asked at once, each answer from their own address, or the send fails."""
    pods = cast.pod_addresses(NEAR, stage.families)
    for place in PLACES:
        with stage.talk(place) as talk:
            for (family, (left, right, _)), pod in zip(addresses(stage, twins(stage)), pods, strict=True):
                names = {"left": (left, PORT), "right": (right, PORT), "pod": (pod, SERVED)}
                for order in (("left", "right"), ("left", "pod"), ("pod", "right")):
                    socket = talk.udp(family)
                    asked = [name for name in order if sent(socket, names[name], name)]
                    assert asked[0] == order[0], f"{place}, IPv{family}: the first send failed"
                    for _ in asked:
                        said, sender = socket.hear()
                        assert tuple(sender) == names[said.split()[-1]], f"{place}, IPv{family}: {order}"


def sent(socket: Socket, to: tuple[str, int], text: str) -> bool:
    """Whether a datagram was sent. An error other than `REFUSED` raises CallError."""
    try:
        socket.send_at(*to, text)
    except CallError as failure:
        if failure.error in REFUSED:
            return False
        raise
    return True


@pytest.mark.row("udp-shared-backend-other")
def test_other_backend(stage: Stage) -> None:
    """While the answer of a shared backend is due, a Service that has another backend uses that one."""
    for place in PLACES:
        with stage.talk(place) as talk:
            for family, (left, _, wide) in addresses(stage, twins(stage)):
                for _ in range(6):
                    socket = talk.udp(family)
                    names = {"left": (left, PORT), "wide": (wide, PORT)}
                    for name, to in names.items():
                        socket.send_at(*to, name)
                    for _ in names:
                        said, sender = socket.hear()
                        assert tuple(sender) == names[said.split()[-1]], f"{place}, IPv{family}"


@pytest.mark.row("bound-port-shared-backend")
def test_bound_port(stage: Stage) -> None:
    """From one bound port, a client connects to two Services of one backend, or the second connect() fails."""
    owns = cast.pod_addresses(CLIENT, stage.families)
    with stage.talk(CLIENT) as talk:
        for (family, (left, right, _)), own in zip(addresses(stage, twins(stage)), owns, strict=True):
            first, second = (talk.tcp(family, bind=[own, 4455]) for _ in range(2))
            first.connect(left, PORT)
            failure = refusal(partial(second.connect, right, PORT))
            assert failure in ("none", *UNAVAILABLE), f"IPv{family}"
            for socket in (first, second) if failure == "none" else (first,):
                assert socket.ask("hello").split()[0] == NEAR
                socket.close()


@pytest.mark.row("bound-port-other-backend")
def test_bound_port_and_another_backend(stage: Stage) -> None:
    """From one bound port, a client connects to two Services that share one of several backends."""
    owns = cast.pod_addresses(CLIENT, stage.families)
    with stage.talk(CLIENT) as talk:
        for (family, (left, _, wide)), own in zip(addresses(stage, twins(stage)), owns, strict=True):
            for number in range(6):
                sockets = [talk.tcp(family, bind=[own, 4460 + number]) for _ in range(2)]
                for socket, address in zip(sockets, (left, wide), strict=True):
                    socket.connect(address, PORT)
                    assert socket.peer() == [address, PORT], f"IPv{family}"
                    assert socket.ask("hello")
                for socket in sockets:
                    socket.close()


@pytest.mark.row("mptcp-peer")
def test_mptcp(stage: Stage) -> None:
    """The peer of an MPTCP socket is the Service that it connected to, before and after traffic."""
    for place in PLACES:
        with stage.talk(place) as talk:
            for family, (left, _, _) in addresses(stage, twins(stage)):
                try:
                    socket = talk.mptcp(family)
                except CallError:
                    pytest.skip("this kernel has no MPTCP")
                socket.connect(left, PORT)
                before, said, after = socket.peer(), socket.ask("hello"), socket.peer()
                assert said.startswith(f"{NEAR} ")
                assert before == after == [left, PORT], f"{place}, IPv{family}"
