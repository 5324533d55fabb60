"""Pod: from the API's dictionary to a `Pod`, as far as networking needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from twinway.model.cluster import ContainerPort, Pod
from twinway.model.net import IPAddress, NodeName, NotServed, ObjectRef, Protocol, Rejected
from twinway.sources.decode.fields import (
    BLANK,
    Address,
    DnsName,
    ListOf,
    Port,
    PortName,
    ProtocolName,
    Schema,
    field_path,
    read,
)
from twinway.sources.decode.metadata import Metadata, ref_of
from twinway.sources.decode.not_served import host_port

FINISHED = frozenset({"Succeeded", "Failed"})


class _Port(Schema):
    name: Annotated[PortName | None, BLANK] = None
    protocol: Annotated[ProtocolName | None, BLANK] = None
    container_port: Port
    host_port: Any = None


class _Container(Schema):
    ports: ListOf[_Port] = ()
    restart_policy: str | None = None


class _Spec(Schema):
    node_name: Annotated[DnsName | None, BLANK] = None
    host_network: bool | None = None
    containers: ListOf[_Container] = ()
    init_containers: ListOf[_Container] = ()


class _Address(Schema):
    ip: Address


class _Condition(Schema):
    type: str
    status: str


class _Status(Schema):
    phase: str | None = None
    pod_ip: Annotated[Address | None, BLANK] = Field(None, alias="podIP")
    pod_ips: ListOf[_Address] = Field((), alias="podIPs")
    conditions: ListOf[_Condition] = ()


class _Pod(Schema):
    metadata: Metadata
    spec: _Spec
    status: _Status | None = None


_NO_STATUS = _Status()


def decode_pod(document: Mapping[str, Any]) -> tuple[Pod | None, tuple[Rejected, ...]]:
    """The pod, or what is wrong with it."""
    ref = ref_of(document, namespaced=True)
    schema, rejected = read(_Pod, document, ref)
    if schema is None:
        return None, rejected
    status = schema.status or _NO_STATUS
    addresses = _addresses(status)
    rejected = tuple(_contradictions(schema, addresses, ref))
    if rejected:
        return None, rejected
    return (
        Pod(
            ref=ref,
            uid=schema.metadata.uid or "",
            labels=MappingProxyType(schema.metadata.labels),
            annotations=MappingProxyType(schema.metadata.annotations),
            node=NodeName(schema.spec.node_name) if schema.spec.node_name else None,
            addresses=addresses,
            ports=tuple(_ports(schema.spec)),
            host_network=bool(schema.spec.host_network),
            ready=_ready(status, addresses),
            terminating=schema.metadata.deletion_timestamp is not None,
            finished=status.phase in FINISHED,
            not_served=tuple(_host_ports(schema.spec, ref)),
        ),
        (),
    )


def _addresses(status: _Status) -> tuple[IPAddress, ...]:
    if status.pod_ips:
        return tuple(each.ip for each in status.pod_ips)
    return (status.pod_ip,) if status.pod_ip else ()


def _ports(spec: _Spec) -> Iterator[ContainerPort]:
    # An init container that is always restarted is a sidecar: it serves as long as the pod does.
    sidecars = [each for each in spec.init_containers if each.restart_policy == "Always"]
    for container in (*spec.containers, *sidecars):
        for port in container.ports:
            yield ContainerPort(port.name or "", port.protocol or Protocol.TCP, port.container_port)


def _host_ports(spec: _Spec, ref: ObjectRef) -> Iterator[NotServed]:
    if spec.host_network:
        return  # on the node's network each port is a host port
    for where, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for number, container in enumerate(containers):
            for index, port in enumerate(container.ports):
                if port.host_port:
                    yield host_port(ref, ("spec", where, number, "ports", index, "hostPort"), port.host_port)


def _ready(status: _Status, addresses: tuple[IPAddress, ...]) -> bool:
    """
    Whether the pod's `Ready` condition is true.

    A pod that somebody wrote by hand has none; it counts as ready when it has an address. The API
    server's pods get address and condition from the kubelet in one write.
    """
    for condition in status.conditions:
        if condition.type == "Ready":
            return condition.status == "True"
    return bool(addresses) and status.phase in (None, "Running")


def _contradictions(schema: _Pod, addresses: tuple[IPAddress, ...], ref: ObjectRef) -> Iterator[Rejected]:
    first = schema.status.pod_ip if schema.status else None
    if first and first != addresses[0]:
        yield Rejected(ref, "status.podIPs[0].ip", f"must be the same as status.podIP, {first}")
    if len({address.version for address in addresses}) != len(addresses):
        yield Rejected(ref, "status.podIPs", "must be one address, or one of each family")
    for where, containers in (
        ("containers", schema.spec.containers),
        ("initContainers", schema.spec.init_containers),
    ):
        for number, container in enumerate(containers):
            names: set[str] = set()
            for index, port in enumerate(container.ports):
                if port.name and port.name in names:
                    place = field_path(("spec", where, number, "ports", index, "name"))
                    yield Rejected(ref, place, f"{port.name!r} is the name of an earlier port")
                names.add(port.name or "")
