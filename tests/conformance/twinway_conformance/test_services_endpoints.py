"""Services: which endpoints are used."""

from __future__ import annotations

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, N1, NEAR, SERVERS, VAULT
from twinway_conformance.objects import Object, port, unready
from twinway_conformance.probes import Query, connects, rejects
from twinway_conformance.stage import Stage

PLACES = (CLIENT, DOG, N1)
TARGETS = {"web": 80, "dns": 53}


def bare(stage: Stage, name: str) -> Object:
    """
    A Service whose EndpointSlices the test writes, at an address of the test's own.

    A datagram from a port that asked the same Service a moment ago belongs to that flow, and goes where it went.
    """
    return stage.service(name, [port(8080, 80, name="web"), port(5353, 53, "UDP", name="dns")])


def all_ports(stage: Stage, service: Object) -> list[tuple[str, str]]:
    """(HOST:PORT, protocol) of both its ports in every family."""
    return [
        (to, protocol) for number, protocol in ((8080, "tcp"), (5353, "udp")) for to in stage.at(service, number)
    ]


@pytest.mark.row("unready")
def test_unready_endpoints_are_avoided(stage: Stage) -> None:
    """An endpoint that is not ready gets no new connection while another is ready."""
    service = bare(stage, "shop/unready")
    stage.hold(service, *stage.slices(service, TARGETS, NEAR, (FAR, "unready")))
    stage.expect(
        connects(Query(place, to, protocol, count=8), NEAR)
        for place in PLACES
        for to, protocol in all_ports(stage, service)
    )


@pytest.mark.row("terminating-avoided")
def test_terminating_endpoints_are_avoided(stage: Stage) -> None:
    """A terminating endpoint gets no new connection while another is ready."""
    service = bare(stage, "shop/terminating-avoided")
    stage.hold(service, *stage.slices(service, TARGETS, (NEAR, "terminating"), FAR))
    stage.expect(
        connects(Query(place, to, protocol, count=8), FAR)
        for place in PLACES
        for to, protocol in all_ports(stage, service)
    )


@pytest.mark.row("terminating-fallback")
def test_terminating_endpoints_are_the_last_resort(stage: Stage) -> None:
    """If no endpoint is ready, those that are terminating and still serving are used, and no others."""
    service = bare(stage, "shop/terminating-fallback")
    stage.hold(
        service, *stage.slices(service, TARGETS, (NEAR, "terminating"), (FAR, "finished"), (VAULT, "unready"))
    )
    stage.expect(
        connects(Query(place, to, protocol, count=8), NEAR)
        for place in PLACES
        for to, protocol in all_ports(stage, service)
    )


@pytest.mark.row("no-endpoints")
def test_no_endpoints(stage: Stage) -> None:
    """A Service without endpoints rejects TCP and UDP at once, from pods and from nodes."""
    service = stage.service("shop/empty", [port(8080, 80), port(5353, 53, "UDP")], {"name": "nobody"})
    stage.hold(service)
    stage.expect(rejects(place, to, protocol) for place in PLACES for to, protocol in all_ports(stage, service))


@pytest.mark.row("no-usable-endpoints")
def test_no_usable_endpoints(stage: Stage) -> None:
    """A Service whose endpoints are all unready or finished rejects like one without endpoints."""
    service = bare(stage, "shop/no-usable-endpoints")
    stage.hold(service, *stage.slices(service, TARGETS, (NEAR, "unready"), (FAR, "finished")))
    stage.expect(rejects(place, to, protocol) for place in PLACES for to, protocol in all_ports(stage, service))


@pytest.mark.row("ready-pods")
def test_readiness_of_pods(stage: Stage) -> None:
    """A selected pod gets no new connection while it is not ready, and gets some when it is ready again."""
    service = stage.service("shop/web", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)
    sick = unready(cast.member(FAR, stage.families))
    stage.hold(service, sick)
    stage.expect(
        connects(Query(place, to, protocol, count=8), NEAR)
        for place in PLACES
        for to, protocol in all_ports(stage, service)
    )
    stage.hold(service)
    both = (Query(CLIENT, to, protocol, count=30) for to, protocol in all_ports(stage, service))
    stage.expect_spread(both, {NEAR, FAR})


@pytest.mark.row("publish-not-ready")
def test_publish_not_ready_addresses(stage: Stage) -> None:
    """With publishNotReadyAddresses, pods that are not ready are used like the others."""
    service = stage.service("shop/not-ready", [port(8080, 80), port(5353, 53, "UDP")], {"name": "far"})
    service["spec"]["publishNotReadyAddresses"] = True
    stage.hold(service, unready(cast.member(FAR, stage.families)))
    stage.expect(
        connects(Query(place, to, protocol), FAR) for place in PLACES for to, protocol in all_ports(stage, service)
    )


@pytest.mark.row("slices-add-up")
def test_several_slices(stage: Stage) -> None:
    """Endpoints of several EndpointSlices of one Service are used together, each once."""
    service = bare(stage, "shop/slices-add-up")
    slices = stage.slices(service, TARGETS, NEAR, FAR)
    for number in range(5):
        for again in stage.slices(service, TARGETS, NEAR):
            again["metadata"]["name"] += f"-{number}"
            slices.append(again)
    stage.hold(service, *slices)
    # NEAR is listed six times and counts once: FAR's share is a half, not a seventh. 60 draws show the difference.
    queries = (Query(CLIENT, to, protocol, count=60) for to, protocol in all_ports(stage, service))
    stage.expect_spread(queries, {NEAR, FAR}, least=15)
