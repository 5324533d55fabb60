"""
The backends of a Service.

Source: k8s.io/api core/v1 ServiceSpec, discovery/v1 EndpointSlice, KEP-1669, KEP-2433, KEP-4444.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from twinway_conformance.objects import Object
from twinway_conformance.reference.selectors import selects
from twinway_conformance.reference.world import (
    Address,
    World,
    container_ports,
    full_name,
    is_ready,
    labels,
)

Backend = tuple[Address, int]
Condition = tuple[bool, bool, bool]
"""ready, serving, terminating."""
Hints = tuple[frozenset[str], frozenset[str]]
"""Nodes and zones whose clients should use an endpoint."""
End = tuple[Backend, Condition, str | None, Hints]
"""An endpoint, its conditions, its node, and its hints."""


def service_at(world: World, address: Address) -> Object | None:
    """The Service that has this ClusterIP and no label of another proxy."""
    for service in world.of_kind("Service"):
        if _left_to_others(service):
            continue
        given = service["spec"].get("clusterIPs") or [service["spec"].get("clusterIP", "")]
        if any(one not in ("", "None") and ipaddress.ip_address(one) == address for one in given):
            return service
    return None


def _left_to_others(thing: Object) -> bool:
    # KEP-2447: a proxy without a name ignores labelled objects, whatever the label's value.
    return any(f"service.kubernetes.io/{label}" in labels(thing) for label in ("service-proxy-name", "headless"))


def backends(
    world: World, service: Object, address: Address, protocol: str, port: int, *, node: str | None
) -> set[Backend]:
    """All backends that a new connection from `node` to this port may get."""
    wanted = [
        one for one in service["spec"]["ports"] if one["port"] == port and one.get("protocol", "TCP") == protocol
    ]
    if not wanted:
        return set()
    local = service["spec"].get("internalTrafficPolicy") == "Local"
    found = [end for end in _endpoints(world, service, wanted[0], address.version) if not local or end[2] == node]
    ready = [(backend, hints) for backend, (is_ready_, _, _), _, hints in found if is_ready_]
    if ready:
        return {backend for backend, _ in ready} if local else _near(world, ready, node)
    return {backend for backend, (_, serving, terminating), _, _ in found if serving and terminating}


def drops(world: World, service: Object, address: Address, protocol: str, port: int) -> bool:
    """
    Whether a connection to this port, for which `node` has no backend, is dropped. Otherwise it is refused.

    Source: KEP-2086: a Local Service drops where other nodes have endpoints.
    """
    everywhere = {**service, "spec": {**service["spec"], "internalTrafficPolicy": "Cluster"}}
    return bool(backends(world, everywhere, address, protocol, port, node=None))


def _near(world: World, ready: list[tuple[Backend, Hints]], node: str | None) -> set[Backend]:
    # Hints count if every ready endpoint has some, and one of them names this node, or else its zone.
    place = world.node(node) if node else None
    zone = labels(place).get("topology.kubernetes.io/zone") if place else None
    for kind, here in enumerate((node, zone)):
        hinted = {backend for backend, hints in ready if here in hints[kind]}
        if here and hinted and all(hints[kind] for _, hints in ready):
            return hinted
    return {backend for backend, _ in ready}


def _endpoints(world: World, service: Object, port: Object, family: int) -> Iterator[End]:
    slices = [
        one
        for one in world.of_kind("EndpointSlice")
        if one["metadata"]["namespace"] == service["metadata"]["namespace"]
        and labels(one).get("kubernetes.io/service-name") == service["metadata"]["name"]
    ]
    if slices:
        for one in slices:
            if one["addressType"] == f"IPv{family}" and not _left_to_others(one):
                yield from _of_slice(one, port)
    elif service["spec"].get("selector"):
        yield from _of_pods(world, service, port, family)


def _of_slice(one: Object, port: Object) -> Iterator[End]:
    numbers = [
        entry["port"]
        for entry in one.get("ports") or ()
        if entry.get("name", "") == port.get("name", "") and entry.get("protocol", "TCP") == _protocol(port)
    ]
    for end in one.get("endpoints") or ():
        condition = _condition(end.get("conditions") or {})
        for number in numbers:
            yield (ipaddress.ip_address(end["addresses"][0]), number), condition, end.get("nodeName"), _hints(end)


def _hints(end: Object) -> Hints:
    given = end.get("hints") or {}
    nodes, zones = (frozenset(one["name"] for one in given.get(key) or ()) for key in ("forNodes", "forZones"))
    return nodes, zones


def _condition(given: dict[str, Any]) -> Condition:
    # Each has its own default: `ready` and `serving` are true if they are not set, `terminating` is false.
    ready, serving = (given.get(word) for word in ("ready", "serving"))
    return ready is None or ready, serving is None or serving, bool(given.get("terminating"))


def _of_pods(world: World, service: Object, port: Object, family: int) -> Iterator[End]:
    any_pod = bool(service["spec"].get("publishNotReadyAddresses"))
    for pod in world.pods():
        same = full_name(pod).partition("/")[0] == service["metadata"]["namespace"]
        if not same or not selects({"matchLabels": service["spec"]["selector"]}, labels(pod)):
            continue
        going = "deletionTimestamp" in pod["metadata"]
        number = _target(pod, port)
        own = [address for address in world.addresses(pod) if address.version == family]
        if number is not None and own:
            ready = any_pod or (is_ready(pod) and not going)
            where = pod["spec"]["nodeName"]
            yield (own[0], number), (ready, is_ready(pod), going), where, _distribution(world, service, where)


def _distribution(world: World, service: Object, where: str) -> Hints:
    # The controller writes these hints for `trafficDistribution`.
    wanted = service["spec"].get("trafficDistribution")
    node = world.node(where)
    zone = labels(node).get("topology.kubernetes.io/zone") if node else None
    near = wanted in ("PreferClose", "PreferSameZone", "PreferSameNode")
    zones = frozenset({zone}) if near and zone else frozenset()
    return frozenset({where}) if wanted == "PreferSameNode" else frozenset(), zones


def _target(pod: Object, port: Object) -> int | None:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    return next(
        (
            number
            for name, protocol, number in container_ports(pod)
            if name == target and protocol == _protocol(port)
        ),
        None,
    )


def _protocol(port: Object) -> str:
    return str(port.get("protocol", "TCP"))
