"""The answers that the API allows for one probe."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinway_conformance.objects import Object
from twinway_conformance.probes import CONNECTED, DROPPED, REJECTED
from twinway_conformance.reference import policy, services
from twinway_conformance.reference.world import Address, World, container_ports, full_name, node_addresses, on_host

Fate = tuple[str, str | None]
"""An outcome, and the pod that answers if it is `connected`."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """All allowed answers to a probe; empty where the API does not say."""

    fates: frozenset[Fate]

    def __str__(self) -> str:
        """`connected by shop/near or dropped`."""
        words = sorted(f"{outcome} by {who}" if who else outcome for outcome, who in self.fates)
        return " or ".join(words) or "anything"

    def meets(self, outcome: str, backend: str | None) -> bool:
        """Whether this answer is allowed."""
        return not self.fates or (outcome, backend) in self.fates


ANYTHING = Expectation(frozenset())


@dataclass(frozen=True, slots=True)
class _Client:
    # A pod with a network of its own, or the node whose address is used. A client outside the cluster is neither.
    address: Address
    pod: Object | None
    node: Object | None


def expected(objects: Sequence[Object], source: str, to: str, protocol: str, *, address: str = "") -> Expectation:
    """
    The allowed answers to a probe from `source` to HOST:PORT.

    A source is `ns/pod`, `node/NAME`, or `external` with its `address`.
    """
    world = World(objects)
    host, _, number = to.rpartition(":")
    target, port = ipaddress.ip_address(host.strip("[]")), int(number)
    asker = _asker(world, source, target, address)
    if asker is None:
        return ANYTHING
    protocol = protocol.upper()
    service = services.service_at(world, target)
    if service is None:
        return Expectation(frozenset(_fates(world, asker, (target, port), protocol, direct=True)))
    if asker.pod is None and asker.node is None:
        return ANYTHING
    where = asker.pod["spec"]["nodeName"] if asker.pod else asker.node["metadata"]["name"] if asker.node else None
    behind = services.backends(world, service, target, protocol, port, node=where)
    if not behind:
        silent = services.drops(world, service, target, protocol, port)
        return Expectation(frozenset({(DROPPED if silent else REJECTED, None)}))
    fates = (_fates(world, asker, backend, protocol, direct=False) for backend in behind)
    return Expectation(frozenset().union(*fates))


def _asker(world: World, source: str, target: Address, address: str) -> _Client | None:
    if source == "external":
        return _Client(ipaddress.ip_address(address), None, None) if address else None
    kind, _, name = source.partition("/")
    pod = None if kind == "node" else world.pod(source)
    if pod is not None and not on_host(pod):
        own = [one for one in world.addresses(pod) if one.version == target.version]
        return _Client(own[0], pod, None) if own else None
    node = world.node(name if pod is None else pod["spec"]["nodeName"])
    if node is None:
        return None
    own = [one for one in node_addresses(node) if one.version == target.version]
    return _Client(own[0], None, node) if own else None


def _fates(
    world: World, asker: _Client, backend: services.Backend, protocol: str, *, direct: bool
) -> Iterator[Fate]:
    """The allowed answers to a connection to one backend."""
    target, port = backend
    pod, node = world.pod_at(target), world.node_at(target)
    if pod is None and node is None:
        yield from ((DROPPED, None), (REJECTED, None))  # nobody has this address
        return
    if not _passes(world, asker, backend, protocol, direct=direct):
        yield DROPPED, None
        # The API's concept page exempts a pod's own node in both directions; its reference does not.
        if not (node and asker.pod and asker.pod["spec"]["nodeName"] == node["metadata"]["name"]):
            return
    listeners = (
        [pod]
        if pod
        else [
            one
            for one in world.pods()
            if node and on_host(one) and one["spec"]["nodeName"] == node["metadata"]["name"]
        ]
    )
    answering = [
        one
        for one in listeners
        if any((kind, number) == (protocol, port) for _, kind, number in container_ports(one))
    ]
    yield (CONNECTED, full_name(answering[0])) if answering else (REJECTED, None)


def _passes(world: World, asker: _Client, backend: services.Backend, protocol: str, *, direct: bool) -> bool:
    target, port = backend
    pod = world.pod_at(target)
    itself = asker.pod is not None and pod is not None and full_name(asker.pod) == full_name(pod)
    if direct and itself:
        return True
    leaves = asker.pod is None or policy.allowed(world, policy.Packet("egress", asker.pod, target, protocol, port))
    own_node = (
        asker.node is not None and pod is not None and (pod["spec"]["nodeName"] == asker.node["metadata"]["name"])
    )
    enters = (
        pod is None
        or own_node
        or policy.allowed(world, policy.Packet("ingress", pod, asker.address, protocol, port))
    )
    return leaves and enters
