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
from twinway.sources.decode.registry import decode, decode_object

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


@pytest.mark.parametrize("blank", ["", None])
def test_blank_fields_of_a_service_are_the_apis_defaults(blank: str | None) -> None:
    """What a template renders where a value is left out."""
    port = {"name": blank, "port": 80, "protocol": blank, "targetPort": blank, "nodePort": None}
    document = having(SERVICE, "spec.ports", [port])
    document["spec"] |= {
        **dict.fromkeys(("type", "sessionAffinity", "internalTrafficPolicy", "externalTrafficPolicy"), blank),
        **dict.fromkeys(("externalIPs", "clusterIPs", "trafficDistribution", "publishNotReadyAddresses")),
    }
    document["metadata"] |= {"labels": {"app": None}, "annotations": {"note": None}, "uid": None}
    value, rejected = decode_object(document)
    plain, _ = decode_object(having(SERVICE, "spec.ports", [{"port": 80}]))
    assert rejected == ()
    assert value == plain


@pytest.mark.parametrize("number", [0, "", None])
def test_a_blank_target_port_is_the_port(number: object) -> None:
    """Source: SetDefaults_Service."""
    value, _ = decode_object(having(SERVICE, "spec.ports.0.targetPort", number))
    assert isinstance(value, Service)
    assert value.ports[0].target_port == 80


def test_blank_fields_of_other_kinds_are_the_apis_defaults() -> None:
    """A pod that is bound to no node, ports without name and protocol, a node without a pod range."""
    document = having(POD, "spec.nodeName", "")
    document["spec"]["containers"][0]["ports"] = [{"name": "", "protocol": "", "containerPort": 80}]
    document["status"] |= {"podIP": "", "podIPs": None}
    pod, rejected = decode_object(document)
    assert isinstance(pod, Pod)
    assert (pod.node, pod.addresses, pod.ports) == (None, (), (ContainerPort("", Protocol.TCP, 80),))
    node, more = decode_object(having(NODE, "spec.podCIDR", ""))
    assert isinstance(node, Node)
    written = having(SLICE, "ports", [{"name": "", "protocol": "", "port": 80}])
    written["endpoints"][0] |= {"nodeName": "", "conditions": None, "targetRef": None}
    slice_, most = decode_object(written)
    assert isinstance(slice_, EndpointSlice)
    assert slice_.ports == (SlicePort("", Protocol.TCP, 80),)
    assert slice_.endpoints[0].node is None
    assert (rejected, more, most) == ((), (), ())


LEFT = ["service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"]


@pytest.mark.parametrize("label", LEFT)
@pytest.mark.parametrize("value", ["", "other.example"])
def test_what_is_left_to_another_proxy_is_not_served(label: str, value: str) -> None:
    """Whatever the label's value is: a Service has no address here, and nobody is sent to a slice's endpoints."""
    service, rejected = decode_object(having(SERVICE, "metadata.labels", {label: value}))
    assert isinstance(service, Service)
    assert (service.cluster_ips, service.selector, rejected) == ((), (("app", "web"),), ())
    document = having(SLICE, "metadata.labels", {"kubernetes.io/service-name": "web", label: value})
    slice_, rejected = decode_object(document)
    assert isinstance(slice_, EndpointSlice)
    assert (slice_.service, slice_.endpoints, rejected) == (WEB, (), ())


NOT_SERVED: list[tuple[str, object, str]] = [
    ("spec.type", "NodePort", "spec.type: NodePort: no node port is opened; its cluster IP is served"),
    ("spec.type", "LoadBalancer", "spec.type: LoadBalancer: neither"),
    ("spec.externalIPs", ["192.0.2.1"], "spec.externalIPs: ['192.0.2.1']: nothing answers there"),
    ("spec.sessionAffinity", "ClientIP", "spec.sessionAffinity: ClientIP: each connection is given any backend"),
    ("spec.externalTrafficPolicy", "Local", "spec.externalTrafficPolicy: Local: clients from outside"),
    ("spec.healthCheckNodePort", 30100, "spec.healthCheckNodePort: 30100: nothing answers"),
    ("spec.loadBalancerSourceRanges", ["192.0.2.0/24"], "spec.loadBalancerSourceRanges: there is no"),
    ("spec.ports.1.protocol", "SCTP", "spec.ports[1].protocol: SCTP: not translated"),
]


@pytest.mark.parametrize(("path", "value", "line"), NOT_SERVED)
def test_what_is_not_served_of_a_service_is_reported(path: str, value: object, line: str) -> None:
    """By object and field, with what happens instead; the Service itself is good, and has no remark by default."""
    service, rejected = decode_object(having(SERVICE, path, value))
    assert isinstance(service, Service)
    assert (rejected, len(service.not_served)) == ((), 1)
    assert str(service.not_served[0]).startswith(f"Service shop/web: {line}")
    plain, _ = decode_object(SERVICE)
    assert isinstance(plain, Service)
    assert plain.not_served == ()


def test_hints_of_endpoints() -> None:
    """Zones and nodes are kept in their order; without hints there are none."""
    hints = {"forZones": [{"name": "a"}, {"name": "b"}], "forNodes": [{"name": "n1"}]}
    hinted, rejected = decode_object(having(SLICE, "endpoints.0.hints", hints))
    plain, _ = decode_object(SLICE)
    assert isinstance(hinted, EndpointSlice)
    assert isinstance(plain, EndpointSlice)
    assert rejected == ()
    assert (hinted.endpoints[0].for_zones, hinted.endpoints[0].for_nodes) == (("a", "b"), ("n1",))
    assert (plain.endpoints[0].for_zones, plain.endpoints[0].for_nodes) == ((), ())


def test_a_host_port_is_reported_except_on_the_host_network() -> None:
    """There each port is one anyway."""
    document = having(POD, "spec.containers.0.ports.0.hostPort", 8080)
    pod, _ = decode_object(document)
    assert isinstance(pod, Pod)
    assert [str(each) for each in pod.not_served] == [
        "Pod shop/web-1: spec.containers[0].ports[0].hostPort: 8080: not opened here; "
        "a plugin of the CNI chain may (portmap)"
    ]
    pod, _ = decode_object(having(document, "spec.hostNetwork", True))
    assert isinstance(pod, Pod)
    assert pod.not_served == ()


@pytest.mark.parametrize(("said", "local"), [("Local", True), ("Cluster", False), ("", False)])
def test_internal_traffic_policy(said: str, *, local: bool) -> None:
    """It is kept for compute, which knows the node."""
    service, _ = decode_object(having(SERVICE, "spec.internalTrafficPolicy", said))
    assert isinstance(service, Service)
    assert service.internal_local is local


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
    """Unsaid conditions are the API's: ready, serving, not terminating."""
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
    """`serving` unsaid is true, whatever `ready` says."""
    said, _ = decode_object(
        having(SLICE, "endpoints.0.conditions", {"ready": False, "serving": True, "terminating": True})
    )
    unsaid, _ = decode_object(having(SLICE, "endpoints.0.conditions", {"ready": False}))
    assert isinstance(said, EndpointSlice)
    assert isinstance(unsaid, EndpointSlice)
    assert [(each.serving, each.terminating) for each in said.endpoints] == [(True, True)]
    assert [(each.serving, each.terminating) for each in unsaid.endpoints] == [(True, False)]


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
