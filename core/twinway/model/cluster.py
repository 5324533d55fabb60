"""What the Kubernetes API says, decoded and checked: one immutable snapshot, the `Cluster`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from twinway.model.net import Family, IPAddress, IPNetwork, NodeName, NotServed, ObjectRef, Protocol, Rejected
from twinway.model.policy import ClusterPolicy, NetworkPolicy


def _empty() -> Mapping[ObjectRef, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service. `name` is empty when the only port has none."""

    name: str
    protocol: Protocol
    port: int
    target_port: int | str
    """Port number, or the name of a container port; EndpointSlices already carry the number."""


@dataclass(frozen=True, slots=True)
class Service:
    """
    A Service as far as twinway serves it.

    `cluster_ips` is empty where there is nothing to program: headless and ExternalName Services, and
    those whose labels leave them to another proxy.
    Source: k8s.io/api/core/v1 ServiceSpec.
    """

    ref: ObjectRef
    type: str
    cluster_ips: tuple[IPAddress, ...]
    ports: tuple[ServicePort, ...]
    selector: tuple[tuple[str, str], ...]
    """Label pairs, sorted; empty for a Service whose EndpointSlices somebody else writes."""
    publish_not_ready: bool
    traffic_distribution: str = ""
    """`trafficDistribution` as written; whoever makes the EndpointSlices puts it into hints."""
    topology_auto: bool = False
    """An annotation asks the controller for hints by the share of each zone, instead of `trafficDistribution`."""
    internal_local: bool = False
    """`internalTrafficPolicy: Local`: clients in the cluster are given backends of their own node alone."""
    not_served: tuple[NotServed, ...] = ()


@dataclass(frozen=True, slots=True)
class SlicePort:
    """One port of an EndpointSlice; matches the Service port of the same name and protocol."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """
    One endpoint of an EndpointSlice.

    Source: KEP-1672 (serving, terminating), KEP-2433 and KEP-4444 (hints); only the first address
    counts, as the API says.
    """

    address: IPAddress
    ready: bool
    serving: bool
    terminating: bool
    node: NodeName | None
    pod: ObjectRef | None
    for_zones: tuple[str, ...] = ()
    """Zones whose clients should use this endpoint."""
    for_nodes: tuple[NodeName, ...] = ()
    """Nodes whose clients should use this endpoint."""


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """An EndpointSlice. Source: k8s.io/api/discovery/v1."""

    ref: ObjectRef
    service: ObjectRef
    family: Family
    ports: tuple[SlicePort, ...]
    endpoints: tuple[SliceEndpoint, ...]
    derived: bool = False
    """Nobody wrote it: the source made it of a Service and its pods."""


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A declared port of a pod's containers (sidecar init containers included)."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod as far as networking needs it. `addresses` is empty until the pod has been given some."""

    ref: ObjectRef
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node: NodeName | None
    addresses: tuple[IPAddress, ...]
    ports: tuple[ContainerPort, ...]
    host_network: bool
    ready: bool
    terminating: bool
    finished: bool
    """Phase Succeeded or Failed: its address may already belong to another pod."""
    not_served: tuple[NotServed, ...] = ()


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace: policies select by its labels."""

    ref: ObjectRef
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Node:
    """A Node: its own addresses, in the API's order, and its pod ranges."""

    ref: ObjectRef
    labels: Mapping[str, str]
    addresses: tuple[IPAddress, ...]
    pod_cidrs: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    Everything a source knows, at one moment. Mappings are read-only and keyed by `ObjectRef`.

    Equal objects keep their identity from one snapshot to the next: compute's memo relies on
    `is`, and falls back to work, never to a wrong answer, where a source does not keep it.
    """

    version: str
    """Names the input this snapshot was made of; opaque, equal only for equal input."""
    complete: bool = True
    """Whether every object of every kind is here; from a snapshot that is not, no deletion may be concluded."""
    services: Mapping[ObjectRef, Service] = field(default_factory=_empty)
    slices: Mapping[ObjectRef, EndpointSlice] = field(default_factory=_empty)
    pods: Mapping[ObjectRef, Pod] = field(default_factory=_empty)
    namespaces: Mapping[ObjectRef, Namespace] = field(default_factory=_empty)
    nodes: Mapping[ObjectRef, Node] = field(default_factory=_empty)
    policies: Mapping[ObjectRef, NetworkPolicy] = field(default_factory=_empty)
    cluster_policies: Mapping[ObjectRef, ClusterPolicy] = field(default_factory=_empty)
    rejected: tuple[Rejected, ...] = ()
