"""EndpointSlice: from the API's dictionary to an `EndpointSlice`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from sys import intern
from typing import Annotated, Any

from twinway.model.cluster import EndpointSlice, SliceEndpoint, SlicePort
from twinway.model.net import Family, IPAddress, NodeName, ObjectRef, Protocol, Rejected
from twinway.sources.decode.fields import (
    BLANK,
    Address,
    ListOf,
    Port,
    ProtocolName,
    Schema,
    field_path,
    read,
    shown,
)
from twinway.sources.decode.metadata import Metadata, left_to_others, ref_of

SERVICE_LABEL = "kubernetes.io/service-name"
_FAMILIES = {"IPv4": Family.V4, "IPv6": Family.V6}


class _Conditions(Schema):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Target(Schema):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None


class _Hint(Schema):
    name: str


class _Hints(Schema):
    for_zones: ListOf[_Hint] = ()
    for_nodes: ListOf[_Hint] = ()


class _Endpoint(Schema):
    addresses: ListOf[Address]
    conditions: _Conditions | None = None
    node_name: str | None = None
    target_ref: _Target | None = None
    hints: _Hints | None = None


class _Port(Schema):
    name: str | None = None
    protocol: Annotated[ProtocolName | None, BLANK] = None
    port: Port | None = None


class _Slice(Schema):
    metadata: Metadata
    address_type: str
    endpoints: ListOf[_Endpoint] = ()
    ports: ListOf[_Port] = ()


def decode_slice(document: Mapping[str, Any]) -> tuple[EndpointSlice | None, tuple[Rejected, ...]]:
    """The slice, or what is wrong with it."""
    ref = ref_of(document, namespaced=True)
    schema, rejected = read(_Slice, document, ref)
    if schema is None:
        return None, rejected
    rejected = tuple(_contradictions(schema, ref))
    if rejected:
        return None, rejected
    # Written, so that none is derived in its place; but nobody is sent to its endpoints.
    endpoints = () if left_to_others(schema.metadata.labels) else schema.endpoints
    return (
        EndpointSlice(
            ref=ref,
            service=ObjectRef("Service", ref.namespace, schema.metadata.labels[SERVICE_LABEL]),
            family=_FAMILIES[schema.address_type],
            # A port without a number means "every port", which no Service port can be given.
            ports=tuple(
                SlicePort(port.name or "", port.protocol or Protocol.TCP, port.port)
                for port in schema.ports
                if port.port is not None
            ),
            endpoints=tuple(_endpoint(endpoint) for endpoint in endpoints),
        ),
        (),
    )


_UNSAID = _Conditions()


def _endpoint(endpoint: _Endpoint) -> SliceEndpoint:
    said = endpoint.conditions or _UNSAID
    zones, nodes = _hints(endpoint.hints) if endpoint.hints else ((), ())
    # Each by itself: unsaid, an endpoint is ready, serves, and does not terminate.
    # Source: discovery/v1 EndpointConditions; kube-proxy pkg/proxy/endpointslicecache.go.
    return SliceEndpoint(
        address=endpoint.addresses[0],
        ready=said.ready is not False,
        serving=said.serving is not False,
        terminating=said.terminating is True,
        node=NodeName(intern(endpoint.node_name)) if endpoint.node_name else None,
        pod=_pod(endpoint.target_ref),
        for_zones=zones,
        for_nodes=nodes,
    )


def _hints(hints: _Hints) -> tuple[tuple[str, ...], tuple[NodeName, ...]]:
    zones = tuple(intern(hint.name) for hint in hints.for_zones)
    return zones, tuple(NodeName(intern(hint.name)) for hint in hints.for_nodes)


def _pod(target: _Target | None) -> ObjectRef | None:
    if target is None or target.kind != "Pod":
        return None
    return ObjectRef("Pod", intern(target.namespace or ""), target.name or "")


def _contradictions(schema: _Slice, ref: ObjectRef) -> Iterator[Rejected]:
    if SERVICE_LABEL not in schema.metadata.labels:
        yield Rejected(ref, f"metadata.labels[{SERVICE_LABEL}]", "is required: it names the Service")
    family = _FAMILIES.get(schema.address_type)
    if family is None:
        yield Rejected(ref, "addressType", f"must be IPv4 or IPv6, not {shown(schema.address_type)}")
        return
    for index, endpoint in enumerate(schema.endpoints):
        reason = _bad_addresses(endpoint.addresses, family)
        if reason:
            yield Rejected(ref, field_path(("endpoints", index, "addresses")), reason)


def _bad_addresses(addresses: tuple[IPAddress, ...], family: Family) -> str:
    if not addresses:
        return "is required"
    address = addresses[0]
    if address.version != family:
        return f"must be an IPv{family:d} address, not {address}"
    number = int(address)
    for mask, start in _UNREACHABLE[family]:
        if number & mask == start:
            return f"must be an address that others can reach, not {address}"
    return ""


def _masks(*networks: str) -> tuple[tuple[int, int], ...]:
    return tuple((int(each.netmask), int(each.network_address)) for each in map(ip_network, networks))


# Unspecified, loopback, link-local, multicast: as numbers, since there may be a million endpoints.
_UNREACHABLE = {
    Family.V4: _masks("0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4"),
    Family.V6: _masks("::/127", "fe80::/10", "ff00::/8"),
}
