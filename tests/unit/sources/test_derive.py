"""Slices that nobody wrote: what the endpoint slice controller would make of the same pods."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import pytest

from tests.unit.documents import POD, SERVICE, having
from twinway.model.cluster import EndpointSlice, Pod, Service, SlicePort
from twinway.model.net import Family, NodeName, Protocol
from twinway.sources.decode.registry import decode_object
from twinway.sources.derive import derive

HTTP = {"name": "http", "port": 80, "targetPort": "http"}


def service(**spec: Any) -> Service:
    """A Service with one named target port, and these fields."""
    value, rejected = decode_object(
        {**SERVICE, "spec": {"clusterIP": "10.96.0.1", "selector": {"app": "web"}, "ports": [HTTP], **spec}}
    )
    assert isinstance(value, Service), rejected
    return value


def pod(name: str, *addresses: str, changes: Mapping[str, object] | None = None) -> Pod:
    """A ready pod at these addresses that answers `http` on 8080."""
    document = having(having(POD, "metadata.name", name), "status.podIP", None)
    document = having(document, "status.podIPs", [{"ip": address} for address in addresses])
    for path, value in (changes or {}).items():
        document = having(document, path, value)
    decoded, rejected = decode_object(document)
    assert isinstance(decoded, Pod), rejected
    return decoded


def conditions(slices: tuple[EndpointSlice, ...]) -> list[tuple[str, bool, bool, bool]]:
    """Each endpoint's address and whether it is ready, serving, terminating."""
    return [
        (str(each.address), each.ready, each.serving, each.terminating) for one in slices for each in one.endpoints
    ]


@pytest.mark.parametrize(
    ("wanted", "hints"),
    [
        (None, ((), ())),
        ("PreferClose", (("east",), ())),
        ("PreferSameZone", (("east",), ())),
        ("PreferSameNode", (("east",), ("n1",))),
        ("Else", ((), ())),
    ],
)
def test_traffic_distribution_makes_hints(wanted: str | None, hints: tuple[tuple[str, ...], ...]) -> None:
    """Each endpoint is for its own zone, or its own node; without a zone there is no hint for one."""
    asking = service(trafficDistribution=wanted)
    (made,) = derive(asking, [pod("a", "10.0.0.1")], {NodeName("n1"): "east"})
    assert (made.endpoints[0].for_zones, made.endpoints[0].for_nodes) == hints
    (made,) = derive(asking, [pod("a", "10.0.0.1")])
    assert (made.endpoints[0].for_zones, made.endpoints[0].for_nodes) == ((), hints[1])


@pytest.mark.parametrize("value", ["Auto", "auto", "Disabled"])
@pytest.mark.parametrize("name", ["topology-mode", "topology-aware-hints"])
def test_topology_mode_goes_before_traffic_distribution(name: str, value: str) -> None:
    """In mode Auto, the controller does not ask `trafficDistribution`."""
    spec = {
        "clusterIP": "10.96.0.1",
        "selector": {"app": "web"},
        "ports": [HTTP],
        "trafficDistribution": "PreferClose",
    }
    annotations = {f"service.kubernetes.io/{name}": value}
    asking, _ = decode_object(having({**SERVICE, "spec": spec}, "metadata.annotations", annotations))
    assert isinstance(asking, Service)
    (made,) = derive(asking, [pod("a", "10.0.0.1")], {NodeName("n1"): "east"})
    assert made.endpoints[0].for_zones == (("east",) if value == "Disabled" else ())


def test_ready_pods_are_endpoints() -> None:
    """Sorted by address, with node and pod."""
    (made,) = derive(service(), [pod("b", "10.0.0.2"), pod("a", "10.0.0.1")])
    assert (made.service.name, made.family, made.ports) == (
        "web",
        Family.V4,
        (SlicePort("http", Protocol.TCP, 8080),),
    )
    assert [(str(each.address), each.node, str(each.pod)) for each in made.endpoints] == [
        ("10.0.0.1", "n1", "Pod shop/a"),
        ("10.0.0.2", "n1", "Pod shop/b"),
    ]


@pytest.mark.parametrize("publish", [False, True])
@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("terminating", [False, True])
def test_conditions(publish: bool, ready: bool, terminating: bool) -> None:
    """Ready: published always, else ready and not terminating. Serving: ready. Source: KEP-1672."""
    changes = {
        "status.conditions": [{"type": "Ready", "status": str(ready)}],
        "metadata.deletionTimestamp": "2024-01-01T00:00:00Z" if terminating else None,
    }
    made = derive(service(publishNotReadyAddresses=publish), [pod("a", "10.0.0.1", changes=changes)])
    assert conditions(made) == [("10.0.0.1", publish or (ready and not terminating), ready, terminating)]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_is_no_endpoint(phase: str) -> None:
    """Not even where addresses that are not ready are published: its address may be another's by now."""
    gone = pod("a", "10.0.0.1", changes={"status.phase": phase})
    assert derive(service(publishNotReadyAddresses=True), [gone]) == ()


def test_each_family_of_the_service_has_its_slice() -> None:
    """A pod's address of a family that the Service has not is no endpoint of it."""
    pods = [pod("a", "10.0.0.1", "fd00::1"), pod("b", "fd00::2")]
    v4 = derive(service(), pods)
    both = derive(service(clusterIPs=["10.96.0.1", "fd96::1"]), pods)
    assert [str(each.address) for one in v4 for each in one.endpoints] == ["10.0.0.1"]
    assert [(each.family, [str(one.address) for one in each.endpoints]) for each in both] == [
        (Family.V4, ["10.0.0.1"]),
        (Family.V6, ["fd00::1", "fd00::2"]),
    ]


def test_named_ports_are_looked_up_on_each_pod() -> None:
    """Pods that answer a name on different ports are in different slices; one without it is in none."""
    pods = [
        pod("a", "10.0.0.1"),
        pod("b", "10.0.0.2", changes={"spec.containers.0.ports.0.containerPort": 9090}),
        pod("c", "10.0.0.3", changes={"spec.containers.0.ports.0.name": "other"}),
        pod("d", "10.0.0.4", changes={"spec.containers.0.ports.0.protocol": "UDP"}),
    ]
    assert [(each.ports[0].port, [one.address for one in each.endpoints]) for each in derive(service(), pods)] == [
        (8080, [ip_address("10.0.0.1")]),
        (9090, [ip_address("10.0.0.2")]),
    ]


def test_a_pod_without_one_of_the_ports_answers_the_others() -> None:
    """The slice it is in lacks that port."""
    both = service(ports=[HTTP, {"name": "raw", "port": 81, "targetPort": 81}])
    (made,) = derive(both, [pod("c", "10.0.0.3", changes={"spec.containers.0.ports.0.name": "other"})])
    assert made.ports == (SlicePort("raw", Protocol.TCP, 81),)


def test_the_name_of_a_derived_slice_is_no_name_of_the_api() -> None:
    """So it never stands in the way of a slice that somebody wrote, and equal slices have equal names."""
    (made,) = derive(service(), [pod("a", "10.0.0.1")])
    assert made.ref.name == "web:ipv4:http=8080"
