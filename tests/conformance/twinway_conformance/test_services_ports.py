"""Services: ports."""

from __future__ import annotations

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, N1, NEAR, OWN_PORT, SERVERS, VAULT
from twinway_conformance.objects import both, container_port, pod, port
from twinway_conformance.probes import CONNECTED, Query, connects, rejects
from twinway_conformance.running import sniffing
from twinway_conformance.stage import Stage

CLOSED = 9  # no pod of the cast declares it
PLACES = (CLIENT, DOG, N1)


@pytest.mark.row("multi-port")
def test_multi_port(stage: Stage) -> None:
    """Each port of a Service leads to its own target port."""
    ports = [port(8080, 80), port(8081, CLOSED), port(8082, OWN_PORT[FAR])]
    service = stage.service("shop/many", ports, {"name": "far"})
    stage.hold(service)
    stage.expect(
        connects(Query(place, to), FAR)
        for place in PLACES
        for number in (8080, 8082)
        for to in stage.at(service, number)
    )
    stage.expect([rejects(place, to) for place in PLACES for to in stage.at(service, 8081)])


@pytest.mark.row("same-number")
def test_one_number_two_protocols(stage: Stage) -> None:
    """One port number can be both TCP and UDP, each with its own target port."""
    ports = [port(53, 80, "TCP"), port(53, 53, "UDP"), port(54, 80, "TCP")]
    service = stage.service("shop/both", ports, {"name": "far"})
    stage.hold(service)
    stage.expect(
        connects(Query(place, to, protocol), FAR)
        for place in PLACES
        for protocol in ("tcp", "udp")
        for to in stage.at(service, 53)
    )
    stage.expect([rejects(place, to, "udp") for place in PLACES for to in stage.at(service, 54)])


@pytest.mark.row("clusterip-sctp")
def test_clusterip_sctp(stage: Stage) -> None:
    """A ClusterIP answers SCTP through its own backend in every family, or, without SCTP support, in none."""
    stage.needs_sctp()
    stream = pod(
        "shop/stream", "n2", both("10.244.2.70", stage.families), [container_port(132, "SCTP")], {"name": "stream"}
    )
    service = stage.service("shop/stream", [port(8132, 132, "SCTP")], {"name": "stream"})
    stage.hold(service, stream)
    due = [connects(Query(CLIENT, to, "sctp"), "shop/stream") for to in stage.at(service, 8132)]
    if all(answers[0].outcome != CONNECTED for answers in stage.ask(*(one.query for one in due))):
        pytest.skip("SCTP of Services is left alone: its checksum covers the whole packet")
    stage.expect(due)


@pytest.mark.row("named-target")
def test_named_target_port(stage: Stage) -> None:
    """A named target port is looked up on each pod; the number of `own` differs between backends."""
    service = stage.service("shop/named", [port(8080, "own"), port(5353, "dns", "UDP")], SERVERS)
    stage.hold(service)
    doors = [(to, "tcp") for to in stage.at(service, 8080)] + [(to, "udp") for to in stage.at(service, 5353)]
    stage.expect_spread((Query(CLIENT, to, protocol, count=30) for to, protocol in doors), {NEAR, FAR})


@pytest.mark.row("slice-ports")
def test_ports_of_slices(stage: Stage) -> None:
    """Target ports are those of the EndpointSlices, and a port that these lack is rejected."""
    service = stage.service(
        "shop/given", [port(8080, 1, name="first"), port(8081, 1, name="second"), port(8082, 1, name="third")]
    )
    stage.hold(service, *stage.slices(service, {"first": 80, "second": OWN_PORT[FAR]}, FAR))
    stage.expect(
        connects(Query(place, to), FAR)
        for place in PLACES
        for number in (8080, 8081)
        for to in stage.at(service, number)
    )
    stage.expect([rejects(place, to) for place in PLACES for to in stage.at(service, 8082)])


@pytest.mark.row("undefined-port")
def test_undefined_port(stage: Stage) -> None:
    """An undefined port of a Service's address is rejected at once."""
    service = stage.service("shop/web", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)
    stage.hold(service)
    stage.expect(
        rejects(place, to, protocol)
        for place in (*PLACES, NEAR)
        for protocol in ("tcp", "udp")
        for to in stage.at(service, 9999)
    )


@pytest.mark.row("undefined-port-kept-in")
def test_undefined_port_never_leaks(stage: Stage) -> None:
    """No packet for an undefined port of a Service's address leaves the client's node."""
    service = stage.service("shop/web", [port(8080, 80)], SERVERS)
    stage.hold(service)
    with sniffing(stage.lab, N1, *service["spec"]["clusterIPs"]) as leaked:
        stage.ask(
            *(
                Query(CLIENT, to, protocol, count=3, timeout=1.0)
                for protocol in ("tcp", "udp")
                for to in stage.at(service, 9999)
            )
        )
    assert set(leaked.values()) == {0}, f"expected no packet to leave the node, got {leaked}"


@pytest.mark.row("other-namespace")
def test_same_name_in_two_namespaces(stage: Stage) -> None:
    """Services of the same name in two namespaces lead to the pods of their own namespace."""
    shop = stage.service("shop/twin", [port(8080, 80)], SERVERS)
    bank = stage.service("bank/twin", [port(8080, 80)], SERVERS)
    stage.hold(shop, bank)
    stage.expect([connects(Query(CLIENT, to, count=6), {NEAR, FAR}) for to in stage.at(shop, 8080)])
    stage.expect([connects(Query(CLIENT, to, count=6), VAULT) for to in stage.at(bank, 8080)])
