"""Which node each pod is on: where it says, where it was, else where the fewest are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from twinway.model.cluster import Pod
from twinway.model.net import NodeName, ObjectRef
from twinway_lab.plan.plan import NodePlan, PodPlan, PodPort
from twinway_lab.plan.refused import Refused
from twinway_lab.plan.suitability import Candidate, Wishes, why_nowhere

_PORTS_TAKEN = "spec.hostNetwork: a port of it is taken on every Node that would suit"


@dataclass(frozen=True, slots=True)
class Fit:
    """Which nodes suit which pods."""

    candidates: Mapping[str, Candidate]
    """By the node's name; a node that is not among them suits every pod."""
    wishes: Mapping[ObjectRef, Wishes]
    """Of pods that have some."""

    def misfit(self, pod: Pod, node: NodePlan) -> str | None:
        """Why the pod cannot be on the node; None where it can."""
        candidate, wishes = self.candidates.get(node.name), self.wishes.get(pod.ref)
        return candidate.misfit(wishes) if candidate and wishes else None


@dataclass(slots=True)
class Homes:
    """Where pods are, while they are given out."""

    of: dict[ObjectRef, NodePlan] = field(default_factory=dict)
    waiting: dict[ObjectRef, str] = field(default_factory=dict)
    """Pods that no node suits, and why: they have no network, as pods that are pending."""
    _taken: set[tuple[NodeName, PodPort]] = field(default_factory=set)

    def put(self, pod: Pod, node: NodePlan) -> None:
        """The pod is on this node."""
        self.of[pod.ref] = node
        self._taken |= set(_host_ports(pod, node))

    def has_room(self, pod: Pod, node: NodePlan) -> bool:
        """Whether the node's own ports that the pod listens on are free."""
        return self._taken.isdisjoint(_host_ports(pod, node))


def homes_of(pods: Sequence[Pod], nodes: Sequence[NodePlan], fit: Fit, kept: Mapping[ObjectRef, PodPlan]) -> Homes:
    """The node of each pod, spread evenly; raises `Refused` for a pod that names a node that is not there."""
    by_name = {node.name: node for node in nodes}
    homes = Homes()
    for pod in pods:
        before = by_name.get(kept[pod.ref].node) if pod.ref in kept else None
        if pod.node is not None:
            homes.put(pod, _named(pod, pod.node, by_name))
        elif before is not None and fit.misfit(pod, before) is None:
            homes.put(pod, before)
    load = Counter(home.name for home in homes.of.values())
    for pod in pods:
        if pod.ref in homes.of:
            continue
        misfits = [fit.misfit(pod, node) for node in nodes]
        suited = [node for node, why in zip(nodes, misfits, strict=True) if why is None]
        free = [node for node in suited if homes.has_room(pod, node)]
        if not free:
            homes.waiting[pod.ref] = _PORTS_TAKEN if suited else why_nowhere(misfits)
            continue
        home = min(free, key=lambda node: (load.get(node.name, 0), node.index))
        homes.put(pod, home)
        load[home.name] += 1
    return homes


def _named(pod: Pod, name: NodeName, nodes: Mapping[NodeName, NodePlan]) -> NodePlan:
    if name not in nodes:
        raise Refused(pod.ref, "spec.nodeName", f"there is no Node {name}; there are {', '.join(sorted(nodes))}")
    return nodes[name]


def _host_ports(pod: Pod, node: NodePlan) -> Iterable[tuple[NodeName, PodPort]]:
    ports = pod.ports if pod.host_network else ()
    return ((node.name, PodPort(port.protocol, port.port)) for port in ports)
