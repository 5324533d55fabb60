"""Services: objects in the forms that controllers, charts and other proxies write."""

from __future__ import annotations

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, HOST, N1, N2, NEAR, SERVERS, TELLER, VAULT
from twinway_conformance.objects import Object, port
from twinway_conformance.probes import DROPPED, REJECTED, SILENCE_SECONDS, Due, Query, connects, drops, rejects
from twinway_conformance.stage import Stage

HERE, THERE = (CLIENT, TELLER, N1), (DOG, HOST, N2)
"""Places on the first node, and on the second one."""
TARGETS = {"web": 80, "dns": 53}
PROXY_NAME, HEADLESS = "service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"


def bare(stage: Stage, name: str) -> Object:
    """A Service whose EndpointSlices the test writes."""
    return stage.service(name, [port(8080, 80, name="web"), port(5353, 53, "UDP", name="dns")])


def labelled(thing: Object, **more: str) -> Object:
    """The same object with additional labels."""
    metadata = thing["metadata"]
    return {**thing, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **more}}}


def doors(stage: Stage, service: Object) -> list[tuple[str, str]]:
    """(HOST:PORT, protocol) of both ports in every family."""
    return [
        (to, protocol) for number, protocol in ((8080, "tcp"), (5353, "udp")) for to in stage.at(service, number)
    ]


def met(stage: Stage, service: Object, places: tuple[str, ...], *backends: str) -> list[Due]:
    """Expect that exactly these backends answer these places; without backends, expect rejection."""
    return [
        connects(Query(place, to, protocol, count=6), backends) if backends else rejects(place, to, protocol)
        for place in places
        for to, protocol in doors(stage, service)
    ]


def left_alone(stage: Stage, service: Object) -> list[Due]:
    """Expect that nobody answers at the Service's addresses."""
    return [
        Due(Query(place, to, protocol, timeout=SILENCE_SECONDS), frozenset({DROPPED, REJECTED}))
        for place in (CLIENT, DOG, N1)
        for to, protocol in doors(stage, service)
    ]


@pytest.mark.row("internal-local")
def test_internal_traffic_policy_local(stage: Stage) -> None:
    """With internalTrafficPolicy Local, pods and programs of a node get backends of that node alone."""
    service = stage.service("shop/own-node", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)
    service["spec"]["internalTrafficPolicy"] = "Local"
    stage.hold(service)
    stage.expect(met(stage, service, HERE, NEAR), met(stage, service, THERE, FAR))


@pytest.mark.row("internal-local-none")
def test_internal_traffic_policy_local_without_a_backend(stage: Stage) -> None:
    """A node without a backend of a Local Service drops if other nodes have one, also after a change."""
    service = bare(stage, "shop/one-node")
    slices = stage.slices(service, TARGETS, FAR, (NEAR, "unready"))
    stage.hold(service, *slices)
    stage.expect(met(stage, service, (*HERE, *THERE), FAR))
    service["spec"]["internalTrafficPolicy"] = "Local"
    stage.hold(service, *slices)
    silent = [drops(place, to, protocol) for place in HERE for to, protocol in doors(stage, service)]
    stage.expect(silent, met(stage, service, THERE, FAR))
    stage.hold(service, *stage.slices(service, TARGETS, FAR, (NEAR, "terminating")))
    stage.expect(met(stage, service, HERE, NEAR), met(stage, service, THERE, FAR))


@pytest.mark.row("internal-local-empty")
def test_internal_traffic_policy_local_without_any_backend(stage: Stage) -> None:
    """A Local Service without a usable endpoint on any node rejects, like every Service."""
    service = bare(stage, "shop/no-node")
    service["spec"]["internalTrafficPolicy"] = "Local"
    stage.hold(service, *stage.slices(service, TARGETS, (FAR, "unready"), (NEAR, "finished")))
    stage.expect(met(stage, service, (*HERE, *THERE)))


@pytest.mark.row("serving-unsaid")
def test_serving_that_is_not_said(stage: Stage) -> None:
    """A terminating endpoint serves, unless its `serving` condition is false."""
    service = bare(stage, "shop/unsaid")
    slices = stage.slices(service, TARGETS, (NEAR, "terminating"), (FAR, "finished"), (VAULT, "unready"))
    for each in slices:
        for end in each["endpoints"]:
            if end["conditions"]["serving"] or not end["conditions"]["terminating"]:
                del end["conditions"]["serving"]
    stage.hold(service, *slices)
    stage.expect(met(stage, service, (CLIENT, DOG, N1), NEAR))


@pytest.mark.row("proxy-name")
def test_service_of_another_proxy(stage: Stage) -> None:
    """A Service with another proxy's label is left alone for as long as it has the label."""
    service = stage.service("shop/theirs", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)
    theirs = labelled(service, **{PROXY_NAME: "other.example"})
    stage.hold(theirs)
    stage.expect(left_alone(stage, service))
    stage.hold(service)
    stage.expect(met(stage, service, (CLIENT, DOG, N1), NEAR, FAR))
    stage.hold(theirs)
    stage.expect(left_alone(stage, service))


@pytest.mark.row("headless-label")
def test_slices_of_headless_services(stage: Stage) -> None:
    """The endpoints of a slice are not used for as long as it has the headless label."""
    service = bare(stage, "shop/labelled")
    slices = stage.slices(service, TARGETS, NEAR)
    stage.hold(service, *slices)
    stage.expect(met(stage, service, (CLIENT, DOG, N1), NEAR))
    stage.hold(service, *(labelled(each, **{HEADLESS: ""}) for each in slices))
    stage.expect(met(stage, service, (CLIENT, DOG, N1)))
    stage.hold(service, *slices)
    stage.expect(met(stage, service, (CLIENT, DOG, N1), NEAR))
