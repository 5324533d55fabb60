"""EndpointSlices that nobody wrote: from a Service's selector and its pods, as the controller makes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from twinway.model.cluster import EndpointSlice, Pod, Service, ServicePort, SliceEndpoint, SlicePort
from twinway.model.net import Family, IPAddress, ObjectRef

Pods = tuple[Pod, ...]


class Derivation:
    """Derived slices by Service, made again only for Services whose own input changed."""

    def __init__(self) -> None:
        """Nothing derived yet."""
        self._made: dict[ObjectRef, tuple[Service, Pods, tuple[EndpointSlice, ...]]] = {}

    def slices(
        self,
        services: Mapping[ObjectRef, Service],
        given: Mapping[ObjectRef, EndpointSlice],
        pods: Mapping[ObjectRef, Pod],
    ) -> dict[ObjectRef, EndpointSlice]:
        """Slices for each Service that has a selector and none of its own among `given`."""
        provided = {each.service for each in given.values()}
        wanted = [each for each in services.values() if each.selector and each.ref not in provided]
        index = _by_label(pods.values()) if wanted else {}
        made = {service.ref: self._of(service, _selected(service, index)) for service in wanted}
        self._made = made
        return {each.ref: each for _, _, slices in made.values() for each in slices}

    def _of(self, service: Service, pods: Pods) -> tuple[Service, Pods, tuple[EndpointSlice, ...]]:
        known = self._made.get(service.ref)
        if known is not None and known[0] is service and known[1] == pods:
            return known
        return service, pods, derive(service, pods)


def derive(service: Service, pods: Iterable[Pod]) -> tuple[EndpointSlice, ...]:
    """
    The slices of `service` for the pods its selector selects, sorted; endpoints sorted by address.

    One for each family of the Service and each way in which its pods answer named target ports.
    A slice's name says these; it cannot be the name of a slice in the API.
    Source: endpointslice/utils.go `podToEndpoint`; KEP-1672 for terminating pods.
    """
    families = [Family(address.version) for address in service.cluster_ips]
    groups: dict[tuple[Family, tuple[SlicePort, ...]], list[SliceEndpoint]] = defaultdict(list)
    for pod in pods:
        if pod.finished:
            continue
        ports = tuple(_ports(service, pod))
        for address in pod.addresses:
            family = Family(address.version)
            if ports and family in families:
                groups[family, ports].append(_endpoint(service, pod, address))
    slices = [
        EndpointSlice(
            ref=ObjectRef("EndpointSlice", service.ref.namespace, _name(service, family, ports)),
            service=service.ref,
            family=family,
            ports=ports,
            endpoints=tuple(sorted(endpoints, key=lambda each: int(each.address))),
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


def _endpoint(service: Service, pod: Pod, address: IPAddress) -> SliceEndpoint:
    return SliceEndpoint(
        address=address,
        ready=service.publish_not_ready or (pod.ready and not pod.terminating),
        serving=pod.ready,
        terminating=pod.terminating,
        node=pod.node,
        pod=pod.ref,
    )


_Index = Mapping[tuple[str, str, str], list[Pod]]


def _by_label(pods: Iterable[Pod]) -> _Index:
    index: dict[tuple[str, str, str], list[Pod]] = defaultdict(list)
    for pod in pods:
        for key, value in pod.labels.items():
            index[pod.ref.namespace, key, value].append(pod)
    return index


def _selected(service: Service, index: _Index) -> Pods:
    pairs = service.selector
    candidates = [index.get((service.ref.namespace, key, value), []) for key, value in pairs]
    rarest = min(candidates, key=len)
    return tuple(pod for pod in rarest if all(pod.labels.get(key) == value for key, value in pairs))
