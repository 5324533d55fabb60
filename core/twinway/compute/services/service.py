"""
What one Service asks of this node: frontends, the backends behind them, and who keeps connections.

Each way to reach a Service is a function that yields frontends; `service_state` puts them together.
Semantics are kube-proxy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from twinway.compute.ids import backend, backend_set, service_port
from twinway.model.cluster import EndpointSlice, Node, Service, ServicePort, SliceEndpoint
from twinway.model.net import Family, NodeName, NotServed, Protocol, Rejected
from twinway.model.node import Backend, Frontend, Scope, ServiceState

ZONE_LABEL = "topology.kubernetes.io/zone"
TOPOLOGY_FIELD = 'metadata.annotations["service.kubernetes.io/topology-mode"]'


def service_state(
    service: Service, slices: Sequence[EndpointSlice], node: Node | None
) -> tuple[ServiceState | None, tuple[Rejected, ...]]:
    """
    The Service on this node, None where there is nothing to serve, and what cannot be served here.

    Slices may come in any order. A node that is unknown, or has no addresses yet, is taken to have
    both families; None is a node without a name, on which there is no endpoint.
    """
    families = families_of(node)
    pools = Pools(service, slices, node)
    frontends = sorted(cluster_ip_frontends(service, pools, families), key=_frontend_order)
    rejected = tuple(_unserved_families(service, families, node))
    if not frontends:
        return None, rejected
    return ServiceState(service.ref, tuple(frontends), pools.serving(families)), rejected


def not_served(service: Service, slices: Iterable[EndpointSlice]) -> tuple[NotServed, ...]:
    """What is not served of a Service that is good: fields of its own, and hints that nobody makes."""
    if not service.topology_auto or not any(each.derived for each in slices):
        return service.not_served
    reason = "Auto: no controller gives hints to these endpoints; clients of all zones use all of them"
    return (*service.not_served, NotServed(service.ref, TOPOLOGY_FIELD, reason))


def cluster_ip_frontends(service: Service, pools: Pools, families: frozenset[Family]) -> Iterator[Frontend]:
    """
    A frontend for each cluster IP of a family that the node has, and each port.

    Where a Local Service has endpoints, but none on this node, its packets are dropped; without any
    endpoint they are rejected. kube-proxy does so by iptables and nftables. By ipvs it leaves the
    virtual server empty, which the kernel answers with port unreachable.
    Source: KEP-2086; kube-proxy 1.36, hasInternalEndpoints in pkg/proxy/iptables and pkg/proxy/nftables,
    syncEndpoint in pkg/proxy/ipvs.
    """
    for address in service.cluster_ips:
        family = Family(address.version)
        if family not in families:
            continue
        for port in service.ports:
            pool = pools.here(port, family) if service.internal_local else pools.near(port, family)
            chosen = usable(pool)
            drops = service.internal_local and not chosen and bool(usable(pools.of(port, family)))
            yield Frontend(address, port.port, port.protocol, Scope.INTERNAL, backend_set(chosen), drops)


def families_of(node: Node | None) -> frozenset[Family]:
    """The address families that a node can serve."""
    if node is None or not node.addresses:
        return frozenset(Family)
    return frozenset(Family(address.version) for address in node.addresses)


class PortEndpoint(NamedTuple):
    """A backend that answers for one port of a Service, and how it is doing."""

    backend: Backend
    endpoint: SliceEndpoint


def usable(pool: Iterable[PortEndpoint]) -> tuple[Backend, ...]:
    """
    The backends that new connections may be given, in the pool's order.

    Those that are ready; if there is none, those that still serve while they terminate.
    Source: KEP-1669; kube-proxy pkg/proxy/topology.go.
    """
    pool = tuple(pool)
    ready = tuple(each.backend for each in pool if each.endpoint.ready)
    return ready or tuple(each.backend for each in pool if each.endpoint.serving and each.endpoint.terminating)


def keeping(pool: Iterable[PortEndpoint]) -> Iterator[Backend]:
    """
    The backends that keep the connections they have, usable ones among them.

    UDP has no connections to end: what does not serve any more loses its clients at once.
    Source: kube-proxy pkg/proxy/conntrack/cleanup.go.
    """
    for each in pool:
        if each.backend.protocol is not Protocol.UDP or each.endpoint.serving or each.endpoint.ready:
            yield each.backend


class Pools:
    """The endpoints of one Service by port and family; each pool is made once."""

    def __init__(self, service: Service, slices: Sequence[EndpointSlice], node: Node | None) -> None:
        """Make no pool yet; `node` is the node that they are for."""
        self._service = service
        self._slices = slices
        self._node = NodeName(node.ref.name) if node else None
        self._zone = node.labels.get(ZONE_LABEL, "") if node else ""
        self._made: dict[tuple[ServicePort, Family], tuple[PortEndpoint, ...]] = {}

    def of(self, port: ServicePort, family: Family) -> tuple[PortEndpoint, ...]:
        """All endpoints that answer for this port, in any condition, sorted by (address, port)."""
        key = (port, family)
        if key not in self._made:
            slices = [each for each in self._slices if each.family is family]
            self._made[key] = _pool(service_port(self._service.ref, port), port, slices)
        return self._made[key]

    def near(self, port: ServicePort, family: Family) -> Sequence[PortEndpoint]:
        """
        The endpoints that clients on this node should use, as hints have it; all of them without usable hints.

        Hints count only if every ready endpoint has some, and at least one names this node or its zone.
        Hints for nodes go before those for zones.
        Source: KEP-2433, KEP-4444; kube-proxy pkg/proxy/topology.go, topologyModeFromHints.
        """
        pool = self.of(port, family)
        ready = [each for each in pool if each.endpoint.ready]
        if self._node and all(each.endpoint.for_nodes for each in ready):
            hinted = [each for each in ready if self._node in each.endpoint.for_nodes]
            if hinted:
                return hinted
        if self._zone and all(each.endpoint.for_zones for each in ready):
            hinted = [each for each in ready if self._zone in each.endpoint.for_zones]
            if hinted:
                return hinted
        return pool

    def here(self, port: ServicePort, family: Family) -> Iterator[PortEndpoint]:
        """
        The endpoints on this node; one that names no node is on none.

        Source: KEP-2086; kube-proxy pkg/proxy/topology.go, localEndpoints.
        """
        return (
            each for each in self.of(port, family) if self._node is not None and each.endpoint.node == self._node
        )

    def serving(self, families: Iterable[Family]) -> tuple[Backend, ...]:
        """The backends of all ports that keep their connections, sorted by id."""
        kept = (
            each for family in families for port in self._service.ports for each in keeping(self.of(port, family))
        )
        return tuple(sorted(kept, key=lambda each: each.id))


def _pool(owner: int, port: ServicePort, slices: Iterable[EndpointSlice]) -> tuple[PortEndpoint, ...]:
    places: dict[tuple[int, int], SliceEndpoint] = {}
    for each in slices:
        for number in (own.port for own in each.ports if own.name == port.name and own.protocol is port.protocol):
            for endpoint in each.endpoints:
                place = (int(endpoint.address), number)
                known = places.get(place)
                # An endpoint that moves between slices may be in two of them for a moment.
                if known is None or _condition(endpoint) > _condition(known):
                    places[place] = endpoint
    return tuple(
        PortEndpoint(backend(owner, places[place].address, place[1], port.protocol), places[place])
        for place in sorted(places)
    )


def _condition(endpoint: SliceEndpoint) -> tuple[bool, bool, bool]:
    return endpoint.ready, endpoint.serving, not endpoint.terminating


def _frontend_order(frontend: Frontend) -> tuple[int, int, int, str, int]:
    address = frontend.address
    return address.version, int(address), frontend.port, frontend.protocol, frontend.scope


def _unserved_families(service: Service, families: frozenset[Family], node: Node | None) -> Iterator[Rejected]:
    for index, address in enumerate(service.cluster_ips):
        if node is not None and Family(address.version) not in families:
            reason = f"{address} is not served here: {node.ref} has no IPv{address.version} address"
            yield Rejected(service.ref, f"spec.clusterIPs[{index}]", reason)
