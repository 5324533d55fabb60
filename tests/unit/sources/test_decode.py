"""Kubernetes dictionaries into values, with the API's own defaults."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from tests.unit.documents import NAMESPACE, NODE, POD, SERVICE, SLICE, Document, having, lacking
from twinway.model.cluster import (
    ContainerPort,
    EndpointSlice,
    Node,
    Pod,
    Service,
    ServicePort,
    SliceEndpoint,
    SlicePort,
)
from twinway.model.net import Family, NodeName, ObjectRef, Protocol
from twinway.sources.decode import decode, decode_object

WEB = ObjectRef("Service", "shop", "web")


def test_of_two_objects_of_one_name_the_first_counts() -> None:
    """The second is rejected by its name."""
    decoded = decode([SERVICE, having(SERVICE, "spec.clusterIP", "10.96.0.9")])
    web = decoded.values[WEB]
    assert isinstance(web, Service)
    assert web.cluster_ips == (ip_address("10.96.0.1"),)
    assert [str(each) for each in decoded.rejected] == [
        "Service shop/web: metadata.name: is given twice; the first one counts"
    ]


def test_a_service() -> None:
    """Defaults are the API's: protocol TCP, the target port is the port, the namespace is `default`."""
    document = having(lacking(SERVICE, "metadata.namespace"), "spec.ports", [{"port": 80}])
    value, rejected = decode_object(document)
    assert rejected == ()
    assert value == Service(
        ref=ObjectRef("Service", "default", "web"),
        type="ClusterIP",
        cluster_ips=(ip_address("10.96.0.1"),),
        ports=(ServicePort("", Protocol.TCP, 80, 80),),
        selector=(("app", "web"),),
        publish_not_ready=False,
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "selector": {"app": "web"}},
        {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 80}]},
        {"type": "ExternalName", "externalName": "example.com"},
    ],
)
def test_headless_and_external_services_have_no_address(spec: Document) -> None:
    """They are good objects for which there is nothing to program."""
    value, rejected = decode_object({**SERVICE, "spec": spec})
    assert isinstance(value, Service)
    assert (value.cluster_ips, rejected) == ((), ())


def test_unknown_fields_and_nulls_are_the_apis_business() -> None:
    """The API has hundreds of fields, and writes null for what is absent."""
    document = having(having(SERVICE, "spec.sessionAffinity", "None"), "status", {"loadBalancer": {}})
    document["metadata"] |= {"annotations": None, "labels": None, "managedFields": [{"manager": "x"}]}
    _, rejected = decode_object(document)
    assert rejected == ()


def test_a_slice() -> None:
    """Unsaid conditions are the API's: ready, serving as ready, not terminating."""
    value, rejected = decode_object(having(SLICE, "endpoints.0.conditions", {}))
    assert rejected == ()
    assert value == EndpointSlice(
        ref=ObjectRef("EndpointSlice", "shop", "web-x"),
        service=WEB,
        family=Family.V4,
        ports=(SlicePort("http", Protocol.TCP, 8080),),
        endpoints=(
            SliceEndpoint(
                ip_address("10.0.0.1"),
                ready=True,
                serving=True,
                terminating=False,
                node=NodeName("n1"),
                pod=ObjectRef("Pod", "shop", "web-1"),
            ),
        ),
    )


def test_an_endpoint_that_is_not_ready_may_serve() -> None:
    """`serving` follows `ready` only where it is not said."""
    said, _ = decode_object(
        having(SLICE, "endpoints.0.conditions", {"ready": False, "serving": True, "terminating": True})
    )
    unsaid, _ = decode_object(having(SLICE, "endpoints.0.conditions", {"ready": False}))
    assert isinstance(said, EndpointSlice)
    assert isinstance(unsaid, EndpointSlice)
    assert [(each.serving, each.terminating) for each in said.endpoints] == [(True, True)]
    assert [(each.serving, each.terminating) for each in unsaid.endpoints] == [(False, False)]


def test_a_pod() -> None:
    """Ports are those of containers and of init containers that run beside them."""
    document = having(
        POD,
        "spec.initContainers",
        [
            {"name": "once", "ports": [{"name": "gone", "containerPort": 1}]},
            {"name": "side", "restartPolicy": "Always", "ports": [{"name": "proxy", "containerPort": 2}]},
        ],
    )
    value, rejected = decode_object(document)
    assert rejected == ()
    assert isinstance(value, Pod)
    assert value.addresses == (ip_address("10.0.0.1"),)
    assert value.ports == (ContainerPort("http", Protocol.TCP, 8080), ContainerPort("proxy", Protocol.TCP, 2))
    assert (value.node, value.ready, value.terminating, value.finished) == ("n1", True, False, False)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("status.conditions", [{"type": "Ready", "status": "False"}], (False, False, False)),
        ("status.conditions", [{"type": "Ready", "status": "Unknown"}], (False, False, False)),
        ("status.conditions", [], (True, False, False)),
        ("status", {"podIP": "10.0.0.1"}, (True, False, False)),
        ("status", None, (False, False, False)),
        ("status", {"podIP": "10.0.0.1", "phase": "Pending"}, (False, False, False)),
        ("status.phase", "Succeeded", (True, False, True)),
        ("status.phase", "Failed", (True, False, True)),
        ("metadata.deletionTimestamp", "2024-01-01T00:00:00Z", (True, True, False)),
    ],
)
def test_how_a_pod_is_doing(path: str, value: object, expected: tuple[bool, bool, bool]) -> None:
    """Ready, terminating and finished; a pod that somebody wrote by hand is ready with its address."""
    pod, _ = decode_object(having(POD, path, value))
    assert isinstance(pod, Pod)
    assert (pod.ready, pod.terminating, pod.finished) == expected


def test_a_node() -> None:
    """Addresses are those that are addresses, in order, each once."""
    document = having(
        NODE,
        "status.addresses",
        [
            {"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "192.168.0.1"},
            {"type": "InternalIP", "address": "fd00::1"},
            {"type": "ExternalIP", "address": "192.168.0.1"},
        ],
    )
    value, rejected = decode_object(document)
    assert rejected == ()
    assert isinstance(value, Node)
    assert value.addresses == (ip_address("192.168.0.1"), ip_address("fd00::1"))
    assert value.pod_cidrs == (ip_network("10.0.0.0/24"),)


def test_a_namespace_has_the_label_of_its_name() -> None:
    """As the API server would have set it."""
    value, _ = decode_object(NAMESPACE)
    assert value is not None
    assert dict(value.labels) == {"kubernetes.io/metadata.name": "shop"}  # type: ignore[union-attr]
