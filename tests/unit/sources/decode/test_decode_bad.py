"""What is wrong with a Kubernetes object is said in one line each, and harms nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import GOOD, NAMESPACE, NODE, POD, SERVICE, SLICE, Document, having, lacking
from twinway.sources.decode.registry import decode, decode_object

PORT_RULE = "must be a port number, 1 to 65535, not"
DNS_RULE = "must be lower case letters, digits and '-', a letter or digit at both ends, not"
LABEL_RULE = "must be letters, digits, '-', '_' and '.', a letter or digit at both ends, not"

BAD: list[tuple[Document, str]] = [
    (having(SERVICE, "spec.ports.0.port", 0), f"Service shop/web: spec.ports[0].port: {PORT_RULE} 0"),
    (having(SERVICE, "spec.ports.1.port", 65536), f"Service shop/web: spec.ports[1].port: {PORT_RULE} 65536"),
    (having(SERVICE, "spec.ports.0.port", "80"), f"Service shop/web: spec.ports[0].port: {PORT_RULE} '80'"),
    (having(SERVICE, "spec.ports.0.port", True), f"Service shop/web: spec.ports[0].port: {PORT_RULE} True"),
    (having(SERVICE, "spec.ports.0.port", 80.0), f"Service shop/web: spec.ports[0].port: {PORT_RULE} 80.0"),
    (lacking(SERVICE, "spec.ports.0.port"), "Service shop/web: spec.ports[0].port: is required"),
    (having(SERVICE, "spec.ports.0.port", None), "Service shop/web: spec.ports[0].port: is required"),
    (
        having(SERVICE, "spec.ports.0.targetPort", "8080"),
        "Service shop/web: spec.ports[0].targetPort: "
        "must be lower case letters, digits and single '-', at least one letter, not '8080'",
    ),
    (
        having(SERVICE, "spec.ports.0.targetPort", "a-name-of-16-chr"),
        "Service shop/web: spec.ports[0].targetPort: must have 15 characters at most, not 16",
    ),
    (
        having(SERVICE, "spec.ports.0.targetPort", 65536),
        f"Service shop/web: spec.ports[0].targetPort: {PORT_RULE} 65536",
    ),
    (
        having(SERVICE, "spec.ports.0.targetPort", False),
        f"Service shop/web: spec.ports[0].targetPort: {PORT_RULE} False",
    ),
    (
        having(SERVICE, "spec.internalTrafficPolicy", "local"),
        "Service shop/web: spec.internalTrafficPolicy: must be Cluster or Local, not 'local'",
    ),
    (
        having(SERVICE, "spec.ports.0.protocol", "tcp"),
        "Service shop/web: spec.ports[0].protocol: must be TCP, UDP or SCTP, not 'tcp'",
    ),
    (
        having(SERVICE, "spec.ports.0.protocol", 6),
        "Service shop/web: spec.ports[0].protocol: must be a string, not 6",
    ),
    (
        lacking(SERVICE, "spec.ports.0.name"),
        "Service shop/web: spec.ports[0].name: is required where there are several ports",
    ),
    (
        having(SERVICE, "spec.ports.1.name", "http"),
        "Service shop/web: spec.ports[1].name: 'http' is the name of an earlier port",
    ),
    (having(SERVICE, "spec.ports.0.name", "Web"), f"Service shop/web: spec.ports[0].name: {DNS_RULE} 'Web'"),
    (
        having(SERVICE, "spec.ports.1", {"name": "more", "port": 80}),
        "Service shop/web: spec.ports[1].port: 80 TCP is an earlier port",
    ),
    (
        having(SERVICE, "spec.ports", {"port": 80}),
        "Service shop/web: spec.ports: must be a list, not {'port': 80}",
    ),
    (having(SERVICE, "spec.ports", []), "Service shop/web: spec.ports: is required"),
    (having(SERVICE, "spec.ports", ["80"]), "Service shop/web: spec.ports[0]: must be a mapping, not '80'"),
    (
        having(SERVICE, "spec.clusterIP", "10.96.0.256"),
        "Service shop/web: spec.clusterIP: must be an IPv4 or IPv6 address, not '10.96.0.256'",
    ),
    (
        having(SERVICE, "spec.clusterIP", "10.96.0.01"),
        "Service shop/web: spec.clusterIP: must be an IPv4 or IPv6 address, not '10.96.0.01'",
    ),
    (
        having(SERVICE, "spec.clusterIP", "fe80::1%eth0"),
        "Service shop/web: spec.clusterIP: must be an IPv4 or IPv6 address, not 'fe80::1%eth0'",
    ),
    (
        having(SERVICE, "spec.clusterIP", "::ffff:10.96.0.1"),
        "Service shop/web: spec.clusterIP: must be written as 10.96.0.1, not '::ffff:10.96.0.1'",
    ),
    (
        lacking(SERVICE, "spec.clusterIP"),
        'Service shop/web: spec.clusterIP: is required here: an address, or "None" for a headless Service',
    ),
    (
        having(SERVICE, "spec.clusterIPs", ["10.96.0.2"]),
        "Service shop/web: spec.clusterIPs[0]: must be the same as spec.clusterIP, 10.96.0.1",
    ),
    (
        having(SERVICE, "spec.clusterIPs", ["10.96.0.1", "10.96.0.2"]),
        "Service shop/web: spec.clusterIPs: must be one address, or one of each family",
    ),
    (
        having(SERVICE, "spec.clusterIPs", ["10.96.0.1", "None"]),
        'Service shop/web: spec.clusterIPs: must be "None" alone, or addresses',
    ),
    (
        having(SERVICE, "spec.type", "Internal"),
        "Service shop/web: spec.type: "
        "must be one of ClusterIP, NodePort, LoadBalancer, ExternalName, not 'Internal'",
    ),
    (
        having(having(SERVICE, "spec.clusterIP", "None"), "spec.type", "NodePort"),
        "Service shop/web: spec.clusterIP: must be an address where spec.type is NodePort",
    ),
    (
        having(SERVICE, "spec.selector", {"app": "a b"}),
        f"Service shop/web: spec.selector.app: {LABEL_RULE} 'a b'",
    ),
    (
        having(SERVICE, "metadata.labels", {"Example.com/app": "x"}),
        "Service shop/web: metadata.labels[Example.com/app]: "
        "must be lower case letters, digits, '-' and '.', a letter or digit at both ends, not 'Example.com'",
    ),
    (having(SERVICE, "metadata.name", "Web"), f"Service shop/Web: metadata.name: {DNS_RULE} 'Web'"),
    (lacking(SERVICE, "metadata.name"), "Service shop/?: metadata.name: is required"),
    (having(SERVICE, "metadata.namespace", "a.b"), f"Service a.b/web: metadata.namespace: {DNS_RULE} 'a.b'"),
    (lacking(SERVICE, "metadata"), "Service default/?: metadata: is required"),
    (lacking(SERVICE, "spec"), "Service shop/web: spec: is required"),
    (having(SERVICE, "apiVersion", "v2"), "Service shop/web: apiVersion: must be v1, not 'v2'"),
    (lacking(SERVICE, "apiVersion"), "Service shop/web: apiVersion: is required"),
    (
        having(SLICE, "apiVersion", "v1"),
        "EndpointSlice shop/web-x: apiVersion: must be discovery.k8s.io/v1, not 'v1'",
    ),
    (
        lacking(SLICE, "metadata.labels"),
        "EndpointSlice shop/web-x: metadata.labels[kubernetes.io/service-name]: is required: it names the Service",
    ),
    (
        having(SLICE, "addressType", "FQDN"),
        "EndpointSlice shop/web-x: addressType: must be IPv4 or IPv6, not 'FQDN'",
    ),
    (
        having(SLICE, "endpoints.0.addresses", ["fd00::1"]),
        "EndpointSlice shop/web-x: endpoints[0].addresses: must be an IPv4 address, not fd00::1",
    ),
    (
        having(SLICE, "endpoints.0.addresses", []),
        "EndpointSlice shop/web-x: endpoints[0].addresses: is required",
    ),
    (
        having(SLICE, "endpoints.0.addresses", ["127.0.0.1"]),
        "EndpointSlice shop/web-x: endpoints[0].addresses: "
        "must be an address that others can reach, not 127.0.0.1",
    ),
    (
        having(SLICE, "endpoints.0.conditions", {"ready": "yes"}),
        "EndpointSlice shop/web-x: endpoints[0].conditions.ready: must be true or false, not 'yes'",
    ),
    (having(SLICE, "ports.0.port", -1), f"EndpointSlice shop/web-x: ports[0].port: {PORT_RULE} -1"),
    (
        having(POD, "status.podIP", "10.0.0"),
        "Pod shop/web-1: status.podIP: must be an IPv4 or IPv6 address, not '10.0.0'",
    ),
    (
        having(POD, "status.podIPs", [{"ip": "10.0.0.2"}]),
        "Pod shop/web-1: status.podIPs[0].ip: must be the same as status.podIP, 10.0.0.1",
    ),
    (
        having(POD, "status.podIPs", [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]),
        "Pod shop/web-1: status.podIPs: must be one address, or one of each family",
    ),
    (
        having(POD, "spec.containers.0.ports.0.containerPort", 70000),
        f"Pod shop/web-1: spec.containers[0].ports[0].containerPort: {PORT_RULE} 70000",
    ),
    (
        having(
            POD, "spec.containers.0.ports", [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]
        ),
        "Pod shop/web-1: spec.containers[0].ports[1].name: 'a' is the name of an earlier port",
    ),
    (having(POD, "metadata.labels", {"app": 3}), "Pod shop/web-1: metadata.labels.app: must be a string, not 3"),
    (having(POD, "metadata.labels", ["app"]), "Pod shop/web-1: metadata.labels: must be a mapping, not ['app']"),
    (having(NAMESPACE, "metadata.name", "a.b"), f"Namespace a.b: metadata.name: {DNS_RULE} 'a.b'"),
    (
        having(NODE, "status.addresses.0.address", "n1.lan"),
        "Node n1: status.addresses[0].address: must be an IPv4 or IPv6 address, not 'n1.lan'",
    ),
    (
        having(NODE, "spec.podCIDR", "10.0.0.0"),
        "Node n1: spec.podCIDR: must be an address block such as 10.0.0.0/8, not '10.0.0.0'",
    ),
    (
        having(NODE, "spec.podCIDR", "10.0.0.0/33"),
        "Node n1: spec.podCIDR: must be an address block such as 10.0.0.0/8, not '10.0.0.0/33'",
    ),
    (
        having(SERVICE, "kind", "Servce"),
        "Servce shop/web: kind: 'Servce' is not a kind that is used here; did you mean Service?",
    ),
    (
        having(SERVICE, "kind", "ConfigMap"),
        "ConfigMap shop/web: kind: 'ConfigMap' is not a kind that is used here; known are Service, "
        "EndpointSlice, Pod, Namespace, Node, NetworkPolicy, ClusterNetworkPolicy, AdminNetworkPolicy, "
        "BaselineAdminNetworkPolicy",
    ),
]


@pytest.mark.parametrize("address", ["0.0.0.0", "127.8.9.1", "169.254.1.1", "224.0.0.1", "239.255.255.255"])
def test_an_ipv4_endpoint_that_others_cannot_reach_is_rejected(address: str) -> None:
    """Unspecified, loopback, link-local and multicast addresses. Source: ValidateNonSpecialIP."""
    value, rejected = decode_object(having(SLICE, "endpoints.0.addresses", [address]))
    assert value is None
    assert rejected[0].reason == f"must be an address that others can reach, not {address}"


@pytest.mark.parametrize("address", ["::", "::1", "fe80::1", "febf::1", "ff02::1"])
def test_an_ipv6_endpoint_that_others_cannot_reach_is_rejected(address: str) -> None:
    """The same in IPv6."""
    document = having(having(SLICE, "addressType", "IPv6"), "endpoints.0.addresses", [address])
    value, rejected = decode_object(document)
    assert value is None
    assert rejected[0].reason == f"must be an address that others can reach, not {address}"


@pytest.mark.parametrize(("document", "line"), BAD, ids=[line for _, line in BAD])
def test_a_bad_object_is_rejected_by_one_line(document: Document, line: str) -> None:
    """The line names object, field, what is wrong and what would be right; there is no value."""
    value, rejected = decode_object(document)
    assert value is None
    assert [str(each) for each in rejected] == [line]


def test_a_bad_object_harms_only_itself() -> None:
    """All others of the same documents are there."""
    decoded = decode([having(SERVICE, "spec.ports.0.port", 0), *GOOD.values()])
    assert {ref.kind for ref in decoded.values} == set(GOOD)
    assert [each.field for each in decoded.rejected] == ["spec.ports[0].port"]


def test_every_bad_field_of_an_object_is_named() -> None:
    """Whoever mends the object need not try twice."""
    document = having(having(SERVICE, "spec.ports.0.port", 0), "spec.ports.1.protocol", "udp")
    _, rejected = decode_object(document)
    assert [each.field for each in rejected] == ["spec.ports[0].port", "spec.ports[1].protocol"]


def paths(value: Any, path: str = "") -> Iterator[str]:
    """The places in an object, the object itself left out."""
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, inner in items:
        yield (here := f"{path}.{key}".lstrip("."))
        yield from paths(inner, here)


PLACES = [(document, path) for document in GOOD.values() for path in paths(document)]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PLACES), ANYTHING)
def test_anything_anywhere_gives_a_value_or_one_line_for_each_fault(
    place: tuple[Document, str], value: object
) -> None:
    """Never an exception, never a line of two lines; whatever is wrong is reported."""
    document, path = place
    decoded, rejected = decode_object(having(document, path, value))
    assert (decoded is None) == bool(rejected)
    assert not [each for each in rejected if not str(each).isprintable()]
