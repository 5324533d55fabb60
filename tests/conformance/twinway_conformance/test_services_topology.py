"""Services: which zones and nodes an endpoint is for."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, HOST, N1, N2, NEAR, SERVERS, TELLER, VAULT
from twinway_conformance.objects import Object, port, unready
from twinway_conformance.probes import Due, Query, connects
from twinway_conformance.stage import Stage

HERE, THERE = (CLIENT, TELLER, N1), (DOG, HOST, N2)
"""Places on the first node, and on the second one."""
TARGETS = {"web": 80, "dns": 53}
ZONE = "topology.kubernetes.io/zone"
APART, TOGETHER = {"n1": "east", "n2": "west"}, {"n1": "east", "n2": "east"}
"""The zone of each node."""
COUNT = 40
"""Connections of one client: one of two backends is missed once in 2^39 times."""
# A UDP flow stays with its backend while that is ready, whatever hints say later, and a client may use a port
# again. A test that expects one backend after another one therefore asks another Service.


def zoned(stage: Stage, zones: Mapping[str, str]) -> list[Object]:
    """The nodes of the cast, in these zones."""
    nodes = [thing for thing in stage.base if thing["kind"] == "Node"]
    return [
        {**node, "metadata": {**metadata, "labels": {**metadata["labels"], ZONE: zones[metadata["name"]]}}}
        for node in nodes
        for metadata in [node["metadata"]]
    ]


def hinted(slices: list[Object], **hints: Mapping[str, str]) -> list[Object]:
    """The slices with hints: `forZones` or `forNodes`, by the short name of the endpoint's pod."""
    for each in slices:
        for end in each["endpoints"]:
            given = {
                kind: [{"name": by_pod[end["targetRef"]["name"]]}]
                for kind, by_pod in hints.items()
                if end["targetRef"]["name"] in by_pod
            }
            if given:
                end["hints"] = given
    return slices


def queries(stage: Stage, service: Object, places: tuple[str, ...]) -> list[Query]:
    """Connections from each place to both ports in every family."""
    return [
        Query(place, to, protocol, count=COUNT)
        for place in places
        for number, protocol in ((8080, "tcp"), (5353, "udp"))
        for to in stage.at(service, number)
    ]


def only(stage: Stage, service: Object, places: tuple[str, ...], backend: str) -> list[Due]:
    """Expect that this backend alone answers these places."""
    return [connects(query, backend) for query in queries(stage, service, places)]


def bare(stage: Stage, name: str) -> Object:
    """A Service whose EndpointSlices the test writes."""
    return stage.service(name, [port(8080, 80, name="web"), port(5353, 53, "UDP", name="dns")])


@pytest.mark.row("hints-zones")
def test_zone_hints(stage: Stage) -> None:
    """If every endpoint has hints and some are for the client's zone, the client gets these alone."""
    service = bare(stage, "shop/zones")
    slices = hinted(stage.slices(service, TARGETS, NEAR, FAR), forZones={"near": "east", "far": "west"})
    stage.hold(*zoned(stage, APART), service, *slices)
    stage.expect(only(stage, service, HERE, NEAR), only(stage, service, THERE, FAR))


@pytest.mark.row("hints-missing")
def test_endpoint_without_a_hint(stage: Stage) -> None:
    """If one ready endpoint has no hint, hints do not count: every client gets any endpoint."""
    service = bare(stage, "shop/hint-missing")
    slices = hinted(stage.slices(service, TARGETS, NEAR, FAR), forZones={"near": "east"})
    stage.hold(*zoned(stage, APART), service, *slices)
    stage.expect_spread(queries(stage, service, (CLIENT, DOG, N1)), {NEAR, FAR})


@pytest.mark.row("hints-other-zone")
def test_no_hint_for_the_clients_zone(stage: Stage) -> None:
    """A client in a zone, or on a node without a zone, that no hint is for gets any endpoint."""
    service = bare(stage, "shop/other-zone")
    slices = hinted(stage.slices(service, TARGETS, NEAR, FAR), forZones={"near": "west", "far": "west"})
    stage.hold(*zoned(stage, APART), service, *slices)
    stage.expect_spread(queries(stage, service, HERE), {NEAR, FAR})
    stage.hold(service, *slices)
    stage.expect_spread(queries(stage, service, (CLIENT, DOG)), {NEAR, FAR})


@pytest.mark.row("hints-unready")
def test_endpoint_of_the_zone_that_is_not_ready(stage: Stage) -> None:
    """An endpoint that is not ready neither answers its zone nor keeps others from answering it."""
    service = bare(stage, "shop/zone-unready")
    members: tuple[str | tuple[str, str], ...] = ((NEAR, "unready"), FAR, VAULT)
    zones = {"near": "east", "far": "west", "vault": "west"}
    stage.hold(*zoned(stage, APART), service, *hinted(stage.slices(service, TARGETS, *members), forZones=zones))
    stage.expect_spread(queries(stage, service, (CLIENT, DOG)), {FAR, VAULT})
    service = bare(stage, "shop/zone-ready")
    zones = {"near": "east", "far": "west"}
    members = (NEAR, FAR, (VAULT, "unready"))
    stage.hold(*zoned(stage, APART), service, *hinted(stage.slices(service, TARGETS, *members), forZones=zones))
    stage.expect(only(stage, service, HERE, NEAR), only(stage, service, THERE, FAR))


@pytest.mark.row("hints-nodes")
def test_node_hints(stage: Stage) -> None:
    """Hints for nodes go before hints for zones, which count where no hint is for the client's node."""
    service = bare(stage, "shop/nodes")
    zones = {"near": "west", "far": "east"}
    slices = hinted(
        stage.slices(service, TARGETS, NEAR, FAR), forNodes={"near": "n1", "far": "n2"}, forZones=zones
    )
    stage.hold(*zoned(stage, APART), service, *slices)
    stage.expect(only(stage, service, HERE, NEAR), only(stage, service, THERE, FAR))
    service = bare(stage, "shop/other-nodes")
    slices = hinted(
        stage.slices(service, TARGETS, NEAR, FAR), forNodes={"near": "n3", "far": "n3"}, forZones=zones
    )
    stage.hold(*zoned(stage, APART), service, *slices)
    stage.expect(only(stage, service, HERE, FAR), only(stage, service, THERE, NEAR))


@pytest.mark.row("traffic-distribution-zone")
def test_prefer_the_same_zone(stage: Stage) -> None:
    """With PreferSameZone, or PreferClose, a client gets the endpoints of its zone."""
    for wanted in ("PreferClose", "PreferSameZone"):
        service = stage.service(f"shop/{wanted.lower()}", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)
        service["spec"]["trafficDistribution"] = wanted
        stage.hold(*zoned(stage, APART), service)
        stage.expect(only(stage, service, HERE, NEAR), only(stage, service, THERE, FAR))
        stage.hold(*zoned(stage, TOGETHER), service)
        stage.expect_spread(queries(stage, service, (CLIENT, DOG)), {NEAR, FAR})


@pytest.mark.row("traffic-distribution-node")
def test_prefer_the_same_node(stage: Stage) -> None:
    """With PreferSameNode, a client gets endpoints of its node, and else of its zone."""
    service = stage.service("shop/same-node", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)
    service["spec"]["trafficDistribution"] = "PreferSameNode"
    stage.hold(*zoned(stage, TOGETHER), service)
    stage.expect(only(stage, service, HERE, NEAR), only(stage, service, THERE, FAR))
    stage.hold(*zoned(stage, TOGETHER), service, unready(cast.member(NEAR, stage.families)))
    stage.expect(only(stage, service, (*HERE, *THERE), FAR))
