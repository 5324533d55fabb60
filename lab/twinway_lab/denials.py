"""
Why a probe was dropped: which policy denies such a connection, by what the agents have computed.

The very tables that nodes put into their kernels are made again here, from what is published, and walked
as the kernel walks them: first what the client's own pod may reach, then whom the server's pod lets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from twinway.compute.desired import desired
from twinway.compute.evaluate import Tables
from twinway.compute.plan import ISOLATION
from twinway.compute.selection import Selection
from twinway.model.cluster import Cluster
from twinway.model.net import IPAddress, NodeName, ObjectRef, Protocol
from twinway.model.node import Action, Attachment, NodeState, RuleRef
from twinway.model.policy import Direction
from twinway.sources.manifests import load
from twinway_lab.addresses import EXTERNAL_HOST, family_of
from twinway_lab.names import EXTERNAL, LabName, Place
from twinway_lab.plan import NodePlan, Plan, PodPlan

UNKNOWN = "a policy that is no longer there"


@dataclass(frozen=True, slots=True)
class Connection:
    """What was tried. `source` is the client's address where the probe chose one."""

    place: Place
    source: IPAddress | None
    host: IPAddress
    port: int
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Denied:
    """One end's reason to drop a connection."""

    direction: str
    """`egress` of the client's pod, or `ingress` of the server's."""
    pod: str
    policies: tuple[str, ...]
    """The policy whose rule denies it; or all that isolate the pod, none of which allows it."""
    rule: str | None
    """Which rule of that policy; None where no policy allows it."""

    def __str__(self) -> str:
        """A person's line."""
        names, end = ", ".join(self.policies), f"{self.direction} of {self.pod}"
        return f"{names} ({end}): " + (f"{self.rule} denies it" if self.rule else "no policy allows it")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class Denials:
    """The policies of one lab, asked about connections."""

    def __init__(self, lab: LabName, plan: Plan) -> None:
        """Read what is published now."""
        self._cluster: Cluster = load([lab.manifests()])
        self._plan = plan
        self._pods = {address: pod for pod in plan.pods if not pod.host_network for address in pod.addresses}
        self._nodes: dict[NodeName, _NodeTables] = {}

    def of(self, connection: Connection) -> tuple[Denied, ...]:
        """Who denies it; through a Service, who denies it to or at any of its backends. Empty: no policy."""
        found = [denied for to in self._targets(connection) for denied in self._judged(connection, *to)]
        return tuple(dict.fromkeys(found))

    def _targets(self, connection: Connection) -> Iterable[tuple[IPAddress, int]]:
        node = self._node_of(connection.place)
        asked = connection.host, connection.port, connection.protocol
        backends = self._on(node).backends(*asked) if node else ()
        return backends or [(connection.host, connection.port)]

    def _judged(self, connection: Connection, server: IPAddress, port: int) -> Iterator[Denied]:
        client = self._client(connection, server)
        if client is None or server == client == connection.host:
            return  # a pod always reaches its own address
        ends = (
            (self._pods.get(client), Direction.EGRESS, server),
            (self._pods.get(server), Direction.INGRESS, client),
        )
        for pod, direction, peer in ends:
            if pod is None or (direction is Direction.INGRESS and peer in self._home(pod).addresses):
                continue  # not under policy, or asked by its own node
            rule = self._on(pod.node).denies(pod, direction, peer, connection.protocol, port)
            if rule is not None:
                yield self._denied(pod, direction, rule)

    def _denied(self, pod: PodPlan, direction: Direction, rule: RuleRef | str) -> Denied:
        word, name = direction.name.lower(), str(pod.place)
        if isinstance(rule, str):
            return Denied(word, name, (rule,), None)
        if rule.place != ISOLATION:
            return Denied(word, name, (str(rule.object),), rule.place)
        return Denied(word, name, tuple(self._isolating(pod, direction)) or (str(rule.object),), None)

    def _isolating(self, pod: PodPlan, direction: Direction) -> Iterator[str]:
        ref = _ref(pod)
        for policy in Selection().update(self._cluster, {ref: None})[ref].policies:
            rules = policy.ingress if direction is Direction.INGRESS else policy.egress
            if rules is not None:
                yield str(policy.ref)

    def _client(self, connection: Connection, server: IPAddress) -> IPAddress | None:
        if connection.source is not None:
            return connection.source
        if connection.place == EXTERNAL:
            return EXTERNAL_HOST[family_of(server)]
        pod, node = self._plan.pod(connection.place), self._plan.node(connection.place.name)
        own = pod.addresses if pod else node.addresses if node else ()
        return next((each for each in own if each.version == server.version), None)

    def _node_of(self, place: Place) -> NodeName | None:
        pod = self._plan.pod(place)
        return pod.node if pod else NodeName(place.name) if place.kind == "node" else None

    def _home(self, pod: PodPlan) -> NodePlan:
        return next(node for node in self._plan.nodes if node.name == pod.node)

    def _on(self, node: NodeName) -> _NodeTables:
        if node not in self._nodes:
            here = [pod for pod in self._plan.pods if pod.node == node and not pod.host_network]
            attached = {_ref(pod): Attachment(_ref(pod), "", "", "", pod.addresses) for pod in here}
            self._nodes[node] = _NodeTables(desired(self._cluster, node, attached))
        return self._nodes[node]


class _NodeTables:
    # What one node has in force.

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._tables = Tables(state.policy)
        self._frontends = {
            (each.address, each.port, each.protocol): each.backends.backends
            for service in state.services.values()
            for each in service.frontends
        }

    def backends(self, host: IPAddress, port: int, protocol: Protocol) -> list[tuple[IPAddress, int]]:
        return [(each.address, each.port) for each in self._frontends.get((host, port, protocol), ())]

    def denies(
        self, pod: PodPlan, direction: Direction, peer: IPAddress, protocol: Protocol, port: int
    ) -> RuleRef | str | None:
        endpoint = self._state.endpoints.get(_ref(pod))
        if endpoint is None:
            return None
        verdict = self._tables.verdict(endpoint.policy, direction, peer, protocol.number, port)
        if verdict.action is Action.ALLOW:
            return None
        return self._state.policy.rules.get(verdict.rule, UNKNOWN)


def _ref(pod: PodPlan) -> ObjectRef:
    return ObjectRef("Pod", pod.place.namespace, pod.place.name)
