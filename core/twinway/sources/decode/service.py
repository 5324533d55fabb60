"""Service: from the API's dictionary to a `Service`, checked as the API server checks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from twinway.model.cluster import Service, ServicePort
from twinway.model.net import IPAddress, NotServed, ObjectRef, Protocol, Rejected
from twinway.sources.decode import not_served
from twinway.sources.decode.fields import (
    BLANK,
    Address,
    DnsLabel,
    Labels,
    ListOf,
    Port,
    PortOrName,
    ProtocolName,
    Schema,
    field_path,
    read,
    shown,
)
from twinway.sources.decode.metadata import Metadata, left_to_others, ref_of, topology_auto

TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
HEADLESS = "None"
LOCAL = "Local"


class _Metadata(Metadata):
    name: DnsLabel


def _said(target: object) -> object:
    # Source: SetDefaults_Service: '' and 0 are the port itself.
    return None if target == "" or (target == 0 and not isinstance(target, bool)) else target


class _Port(Schema):
    name: Annotated[DnsLabel | None, BLANK] = None
    protocol: Annotated[ProtocolName | None, BLANK] = None
    port: Port
    target_port: Annotated[PortOrName | None, BeforeValidator(_said)] = None

    @property
    def carried_by(self) -> Protocol:
        """The protocol, TCP where none is said."""
        return self.protocol or Protocol.TCP


class _Spec(not_served.UnservedSpec):
    type: Annotated[str | None, BLANK] = None
    internal_traffic_policy: Annotated[str | None, BLANK] = None
    traffic_distribution: Annotated[str | None, BLANK] = None
    cluster_ip: str | None = Field(None, alias="clusterIP")
    cluster_ips: ListOf[str] = Field((), alias="clusterIPs")
    ports: ListOf[_Port] = ()
    selector: Labels = Field(default_factory=dict)
    publish_not_ready_addresses: bool | None = None


class _Service(Schema):
    metadata: _Metadata
    spec: _Spec


class _Addresses(Schema):
    cluster_ip: Address | None = Field(None, alias="clusterIP")
    cluster_ips: ListOf[Address] = Field((), alias="clusterIPs")


def decode_service(document: Mapping[str, Any]) -> tuple[Service | None, tuple[Rejected, ...]]:
    """The Service, or what is wrong with it: a Service with one bad port is not served at all."""
    ref = ref_of(document, namespaced=True)
    schema, rejected = read(_Service, document, ref)
    if schema is None:
        return None, rejected
    spec, metadata = schema.spec, schema.metadata
    kind = spec.type or "ClusterIP"
    addresses, rejected = _addresses(spec, ref)
    rejected += tuple(_contradictions(spec, ref))
    if rejected:
        return None, rejected
    if left_to_others(metadata.labels):
        addresses = ()
    return (
        Service(
            ref=ref,
            type=kind,
            cluster_ips=addresses,
            ports=tuple(_port(port) for port in spec.ports),
            selector=tuple(sorted(spec.selector.items())),
            publish_not_ready=bool(spec.publish_not_ready_addresses),
            traffic_distribution=spec.traffic_distribution or "",
            topology_auto=topology_auto(metadata.annotations),
            internal_local=spec.internal_traffic_policy == LOCAL,
            not_served=tuple(_not_served(ref, schema)) if addresses else (),
        ),
        (),
    )


def _port(port: _Port) -> ServicePort:
    target = port.port if port.target_port is None else port.target_port
    return ServicePort(port.name or "", port.carried_by, port.port, target)


def _not_served(ref: ObjectRef, service: _Service) -> Iterator[NotServed]:
    yield from not_served.of_service(ref, service.spec.type or "", service.spec)
    for index, port in enumerate(service.spec.ports):
        if port.carried_by is Protocol.SCTP:
            yield not_served.sctp_port(ref, index)


def _headless(spec: _Spec) -> bool:
    return HEADLESS in (spec.cluster_ip, *spec.cluster_ips)


def _addresses(spec: _Spec, ref: ObjectRef) -> tuple[tuple[IPAddress, ...], tuple[Rejected, ...]]:
    if spec.type == "ExternalName" or _headless(spec):
        return (), ()
    given = {"clusterIP": spec.cluster_ip or None, "clusterIPs": list(spec.cluster_ips)}
    read_back, rejected = read(_Addresses, given, ref, at="spec")
    if read_back is None:
        return (), rejected
    first, several = read_back.cluster_ip, read_back.cluster_ips
    return several or ((first,) if first else ()), tuple(_bad_addresses(first, several, ref))


def _bad_addresses(first: IPAddress | None, several: tuple[IPAddress, ...], ref: ObjectRef) -> Iterator[Rejected]:
    if first is None and not several:
        yield Rejected(ref, "spec.clusterIP", 'is required here: an address, or "None" for a headless Service')
    elif first is not None and several and first != several[0]:
        yield Rejected(ref, "spec.clusterIPs[0]", f"must be the same as spec.clusterIP, {first}")
    if len({address.version for address in several}) != len(several):
        yield Rejected(ref, "spec.clusterIPs", "must be one address, or one of each family")


def _contradictions(spec: _Spec, ref: ObjectRef) -> Iterator[Rejected]:
    if spec.type not in (None, *TYPES):
        yield Rejected(ref, "spec.type", f"must be one of {', '.join(TYPES)}, not {shown(spec.type)}")
    if spec.internal_traffic_policy not in (None, "Cluster", LOCAL):
        reason = f"must be Cluster or Local, not {shown(spec.internal_traffic_policy)}"
        yield Rejected(ref, "spec.internalTrafficPolicy", reason)
    if _headless(spec) and spec.type not in (None, "ClusterIP"):
        yield Rejected(ref, "spec.clusterIP", f"must be an address where spec.type is {spec.type}")
    if _headless(spec) and {spec.cluster_ip, *spec.cluster_ips} - {HEADLESS, None, ""}:
        yield Rejected(ref, "spec.clusterIPs", 'must be "None" alone, or addresses')
    if not spec.ports and spec.type != "ExternalName" and not _headless(spec):
        yield Rejected(ref, "spec.ports", "is required")
    yield from _port_contradictions(spec.ports, ref)


def _port_contradictions(ports: tuple[_Port, ...], ref: ObjectRef) -> Iterator[Rejected]:
    names: set[str] = set()
    numbers: set[tuple[Protocol, int]] = set()
    for index, port in enumerate(ports):
        place = ("spec", "ports", index)
        if not port.name and len(ports) > 1:
            yield Rejected(ref, field_path((*place, "name")), "is required where there are several ports")
        elif port.name and port.name in names:
            yield Rejected(ref, field_path((*place, "name")), f"{port.name!r} is the name of an earlier port")
        if (port.carried_by, port.port) in numbers:
            yield Rejected(ref, field_path((*place, "port")), f"{port.port} {port.carried_by} is an earlier port")
        names.add(port.name or "")
        numbers.add((port.carried_by, port.port))
