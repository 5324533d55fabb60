"""
Why a probe was dropped: which policy denies such a connection, by what the agents have computed.

The very tables that nodes put into their kernels are made again here, from what is published, and asked
as the kernel asks them: first what the client's own pod may reach, then whom the server's pod lets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from twinway.compute.desired import desired
from twinway.compute.policy.explain import Judgement, Place, backends, judged
from twinway.compute.policy.plan import ISOLATION
from twinway.model.cluster import Cluster
from twinway.model.net import IPAddress, NodeName, ObjectRef, Protocol
from twinway.model.node import Action, Attachment, NodeState
from twinway.policy_views import pod_name, reason
from twinway.sources.manifests.source import load
from twinway_lab import names
from twinway_lab.plan.addresses import EXTERNAL_HOST, family_of
from twinway_lab.plan.plan import Plan, PodPlan


@dataclass(frozen=True, slots=True)
class Connection:
    """What was tried. `source` is the client's address where the probe chose one."""

    client: names.Place
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
        who = ", ".join(self.policies) or "a policy that is gone by now"
        why = f"{self.rule} denies it" if self.rule else "no policy allows it"
        return f"{who} ({self.direction} of {self.pod}): {why}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def described(denied: Iterable[Denied]) -> str:
    """All of it in one line; pods that are denied alike, as a Service's backends are, stand together."""
    pods: dict[Denied, list[str]] = {}
    for each in denied:
        pods.setdefault(replace(each, pod=""), []).append(each.pod)
    return "; ".join(str(replace(alike, pod=", ".join(sorted(those)))) for alike, those in pods.items())


class Denials:
    """The policies of one lab, asked about connections."""

    def __init__(self, lab: names.LabName, plan: Plan) -> None:
        """Read what is published now."""
        self._cluster: Cluster = load([lab.manifests()])
        self._plan = plan
        pods = [pod for pod in plan.pods if not pod.host_network]
        self._homes = {address: pod.node for pod in pods for address in pod.addresses}
        self._states: dict[NodeName, NodeState] = {}

    def of(self, connection: Connection) -> tuple[Denied, ...]:
        """Who denies it; through a Service, who denies it to or at any of its backends. Empty: no policy."""
        asked = Place(connection.host, connection.port)
        node = self._node_of(connection.client)
        number = connection.protocol.number
        places = backends(self._state(node), asked, number) if node else (asked,)
        found = [each for place in places for each in self._denied(connection, place, place is not asked)]
        return tuple(dict.fromkeys(found))

    def _denied(self, connection: Connection, place: Place, translated: bool) -> Iterator[Denied]:  # noqa: FBT001
        source = self._source(connection, place.address)
        if source is None:
            return
        ends = (self._homes.get(source), self._homes.get(place.address))
        for node in dict.fromkeys(end for end in ends if end is not None):
            state = self._state(node)
            for each in judged(state, source, place, connection.protocol.number, translated=translated):
                if each.verdict.action is Action.DENY:
                    yield _told(state, each)

    def _source(self, connection: Connection, server: IPAddress) -> IPAddress | None:
        if connection.source is not None:
            return connection.source
        if connection.client == names.EXTERNAL:
            return EXTERNAL_HOST[family_of(server)]
        pod, node = self._plan.pod(connection.client), self._plan.node(connection.client.name)
        own = pod.addresses if pod else node.addresses if node else ()
        return next((each for each in own if each.version == server.version), None)

    def _node_of(self, client: names.Place) -> NodeName | None:
        pod = self._plan.pod(client)
        return pod.node if pod else NodeName(client.name) if client.kind == "node" else None

    def _state(self, node: NodeName) -> NodeState:
        if node not in self._states:
            here = [pod for pod in self._plan.pods if pod.node == node and not pod.host_network]
            attached = {_ref(pod): Attachment(_ref(pod), "", "", "", pod.addresses) for pod in here}
            self._states[node] = desired(self._cluster, node, attached)
        return self._states[node]


def _told(state: NodeState, judgement: Judgement) -> Denied:
    ref = state.policy.rules.get(judgement.verdict.rule)
    endpoint = state.endpoints[judgement.pod]
    words = reason(endpoint, judgement.direction, judgement.verdict.rule, ref)
    return Denied(
        direction=judgement.direction.name.lower(),
        pod=pod_name(judgement.pod),
        policies=tuple(words["policies"]),
        rule=words["rule"] if words["rule"] != ISOLATION else None,
    )


def _ref(pod: PodPlan) -> ObjectRef:
    return ObjectRef("Pod", pod.place.namespace, pod.place.name)
