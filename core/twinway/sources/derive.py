"""EndpointSlices that nobody wrote: from one Service's selector and its pods, as the controller makes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from twinway.model.cluster import EndpointSlice, Pod, Service, ServicePort, SliceEndpoint, SlicePort
from twinway.model.net import Family, IPAddress, NodeName, ObjectRef

PREFER_ZONE = frozenset({"PreferClose", "PreferSameZone"})
PREFER_NODE = "PreferSameNode"
Zones = Mapping[NodeName, str]
"""The zone of each node that has one."""
_NO_ZONES: Zones = MappingProxyType({})


def derive(service: Service, pods: Iterable[Pod], zones: Zones = _NO_ZONES) -> tuple[EndpointSlice, ...]:
    """
    The slices of `service` for the pods that its selector selects; endpoints sorted by address.

    One for each family of the Service and each way in which its pods answer named target ports,
    sorted by name. The name says these; it cannot be the name of a slice in the API.
    Hints follow `trafficDistribution`, unless the Service asks for topology mode Auto instead. That mode has
    no hints here: they would need the processors of all nodes.
    Source: kube-controller-manager, endpointslice `podToEndpoint`; k8s.io/endpointslice, trafficdist and
    reconciler; KEP-1672 for terminating pods.
    """
    families = {Family(address.version) for address in service.cluster_ips}
    groups: dict[tuple[Family, tuple[SlicePort, ...]], list[SliceEndpoint]] = defaultdict(list)
    for pod in pods:
        ports = () if pod.finished else tuple(_ports(service, pod))
        for address in pod.addresses:
            family = Family(address.version)
            if ports and family in families:
                groups[family, ports].append(_endpoint(service, pod, address, zones))
    slices = [
        EndpointSlice(
            ref=ObjectRef("EndpointSlice", service.ref.namespace, _name(service, family, ports)),
            service=service.ref,
            family=family,
            ports=ports,
            endpoints=tuple(sorted(endpoints, key=lambda each: (int(each.address), str(each.pod)))),
            derived=True,
        )
        for (family, ports), endpoints in groups.items()
    ]
    return tuple(sorted(slices, key=lambda each: each.ref.name))


def _name(service: Service, family: Family, ports: tuple[SlicePort, ...]) -> str:
    return f"{service.ref.name}:ipv{family:d}:" + ",".join(f"{port.name}={port.port}" for port in ports)


def _ports(service: Service, pod: Pod) -> Iterator[SlicePort]:
    for port in service.ports:
        number = _number(port, pod)
        if number is not None:
            yield SlicePort(port.name, port.protocol, number)


def _number(port: ServicePort, pod: Pod) -> int | None:
    if isinstance(port.target_port, int):
        return port.target_port
    for each in pod.ports:
        if each.name == port.target_port and each.protocol is port.protocol:
            return each.port
    return None


def _endpoint(service: Service, pod: Pod, address: IPAddress, zones: Zones) -> SliceEndpoint:
    wanted = "" if service.topology_auto else service.traffic_distribution
    zone = zones.get(pod.node, "") if pod.node and (wanted in PREFER_ZONE or wanted == PREFER_NODE) else ""
    return SliceEndpoint(
        address=address,
        ready=service.publish_not_ready or (pod.ready and not pod.terminating),
        serving=pod.ready,
        terminating=pod.terminating,
        node=pod.node,
        pod=pod.ref,
        for_zones=(zone,) if zone else (),
        for_nodes=(pod.node,) if pod.node and wanted == PREFER_NODE else (),
    )
