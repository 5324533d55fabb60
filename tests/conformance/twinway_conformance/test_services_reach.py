"""Services: clients, addresses and backends."""

from __future__ import annotations

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, HOST, HOST_PORT, N1, N2, NEAR, SERVERS, TELLER
from twinway_conformance.objects import Object, headless, port
from twinway_conformance.probes import CONNECTED, Query, connects, rejects
from twinway_conformance.stage import Stage

PODS = (CLIENT, TELLER, DOG)  # on both nodes, in several namespaces
SERVING = {NEAR, FAR}


def web(stage: Stage) -> Object:
    """The Service of most tests: two backends, one on each node, for TCP and UDP."""
    return stage.service("shop/web", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)


def solo(stage: Stage, name: str, owner: str) -> Object:
    """A Service of one pod."""
    space, _, own = owner.partition("/")
    return stage.service(f"{space}/{name}", [port(8080, 80), port(5353, 53, "UDP")], {"name": own})


@pytest.mark.row("clusterip-tcp")
def test_clusterip_tcp(stage: Stage) -> None:
    """A ClusterIP answers TCP from pods of every node and namespace through its own backends."""
    stage.hold(web(stage))
    stage.expect(connects(Query(pod, to, count=4), SERVING) for pod in PODS for to in stage.at(web(stage), 8080))


@pytest.mark.row("clusterip-udp")
def test_clusterip_udp(stage: Stage) -> None:
    """A ClusterIP answers UDP from pods of every node and namespace through its own backends."""
    stage.hold(web(stage))
    stage.expect(
        connects(Query(pod, to, "udp", count=4), SERVING) for pod in PODS for to in stage.at(web(stage), 5353)
    )


@pytest.mark.row("spread")
def test_spread(stage: Stage) -> None:
    """New connections and UDP sockets are spread over all backends; each gets at least a fifth of its share."""
    stage.hold(web(stage))
    count = 60
    doors = [(to, "tcp") for to in stage.at(web(stage), 8080)] + [(to, "udp") for to in stage.at(web(stage), 5353)]
    queries = (Query(CLIENT, to, protocol, count=count) for to, protocol in doors)
    stage.expect_spread(queries, SERVING, least=count // len(SERVING) // 5)


@pytest.mark.row("source-kept")
def test_source_address_kept(stage: Stage) -> None:
    """A backend on the client's node or another sees the client pod's own address."""
    stage.hold(solo(stage, "near", NEAR), solo(stage, "far", FAR))
    due = []
    for service, backend in ((solo(stage, "near", NEAR), NEAR), (solo(stage, "far", FAR), FAR)):
        for number, protocol in ((8080, "tcp"), (5353, "udp")):
            for pod in PODS:
                for address, to in zip(
                    cast.pod_addresses(pod, stage.families), stage.at(service, number), strict=True
                ):
                    due.append(connects(Query(pod, to, protocol), backend, {address}))
    stage.expect(due)


@pytest.mark.row("hairpin")
def test_hairpin(stage: Stage) -> None:
    """A pod reaches itself through a Service of which it is the only backend."""
    stage.hold(solo(stage, "self", NEAR))
    stage.expect(
        connects(Query(NEAR, to, protocol), NEAR)
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(solo(stage, "self", NEAR), number)
    )


@pytest.mark.row("host-clients")
def test_clients_in_the_host_namespace(stage: Stage) -> None:
    """Programs of a node, and host-network pods, reach a Service's backends on both nodes."""
    stage.hold(solo(stage, "near", NEAR), solo(stage, "far", FAR))
    stage.expect(
        connects(Query(place, to, protocol), backend)
        for place in (N1, N2, HOST)
        for service, backend in ((solo(stage, "near", NEAR), NEAR), (solo(stage, "far", FAR), FAR))
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(service, number)
    )


@pytest.mark.row("host-backend")
def test_backend_on_the_host_network(stage: Stage) -> None:
    """A host-network backend answers pods and programs of both nodes."""
    service = stage.service("shop/host", [port(8080, HOST_PORT), port(5353, HOST_PORT, "UDP")], {"name": "host"})
    stage.hold(service)
    stage.expect(
        connects(Query(place, to, protocol), HOST)
        for place in (CLIENT, DOG, N1, N2)
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(service, number)
    )


@pytest.mark.row("by-name")
def test_by_name(stage: Stage) -> None:
    """`NAME.NAMESPACE` leads to the same backends as the Service's address."""
    stage.hold(web(stage))
    stage.expect(connects(Query(place, "web.shop:8080"), SERVING) for place in (CLIENT, DOG, N1))


@pytest.mark.row("headless")
def test_headless(stage: Stage) -> None:
    """A headless Service has no effect: its pods answer on their own ports, and not on the Service's."""
    stage.hold(headless("shop/quiet", [port(8080, 80)], SERVERS))
    stage.expect([connects(Query(CLIENT, to), FAR) for to in stage.pod_at(FAR, 80)])
    stage.expect([rejects(CLIENT, to) for to in stage.pod_at(FAR, 8080)])


@pytest.mark.row("no-service")
def test_pods_without_services(stage: Stage) -> None:
    """Without a Service, every pod reaches every other pod's ports, and closed ports refuse."""
    stage.hold()
    wrong = {key: answer for key, answer in stage.lab.matrix().items() if answer.outcome != CONNECTED}
    assert not wrong, f"expected all to connect, got {wrong}"
    stage.expect(
        rejects(CLIENT, to, protocol)
        for name in (NEAR, FAR)
        for protocol in ("tcp", "udp")
        for to in stage.pod_at(name, 9)
    )


@pytest.mark.row("large")
def test_large_payloads(stage: Stage) -> None:
    """Datagrams and requests of more than a thousand bytes return complete through a Service."""
    stage.hold(web(stage))
    stage.expect(
        connects(Query(pod, to, protocol, payload=1300), SERVING)
        for pod in (CLIENT, DOG)
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(web(stage), number)
    )


@pytest.mark.row("side-by-side")
def test_many_at_once(stage: Stage) -> None:
    """Two hundred connections at a time through one Service are all answered."""
    stage.hold(web(stage))
    stage.expect(
        connects(Query(pod, to, count=50 // len(stage.families)), SERVING)
        for pod in (CLIENT, TELLER, DOG, NEAR)
        for to in stage.at(web(stage), 8080)
    )


@pytest.mark.row("two-services")
def test_one_backend_behind_two_services(stage: Stage) -> None:
    """One pod behind two Services answers through both at the same time, by TCP and UDP."""
    one, two = solo(stage, "one", FAR), solo(stage, "two", FAR)
    stage.hold(one, two)
    stage.expect(
        connects(Query(CLIENT, to, protocol, count=10), FAR)
        for service in (one, two)
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(service, number)
    )
