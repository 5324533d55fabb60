"""Assign pods to nodes: to the one that the pod names, else the one it was on, else the one with fewest pods."""

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
class Assignment:
    """The nodes that pods were assigned to so far."""

    of: dict[ObjectRef, NodePlan] = field(default_factory=dict)
    waiting: dict[ObjectRef, str] = field(default_factory=dict)
    """Pods that no node suits, and why. They stay pending, without a network."""
    _taken: set[tuple[NodeName, PodPort]] = field(default_factory=set)

    def put(self, pod: Pod, node: NodePlan) -> None:
        """Assign a pod to a node."""
        self.of[pod.ref] = node
        self._taken |= set(_host_ports(pod, node))

    def has_room(self, pod: Pod, node: NodePlan) -> bool:
        """Whether the host ports that the pod listens on are free."""
        return self._taken.isdisjoint(_host_ports(pod, node))


def assigned(
    pods: Sequence[Pod], nodes: Sequence[NodePlan], fit: Fit, kept: Mapping[ObjectRef, PodPlan]
) -> Assignment:
    """Assign each pod to a node, evenly. Raises `Refused` for a pod that names a node that does not exist."""
    by_name = {node.name: node for node in nodes}
    assignment = Assignment()
    for pod in pods:
        before = by_name.get(kept[pod.ref].node) if pod.ref in kept else None
        if pod.node is not None:
            assignment.put(pod, _named(pod, pod.node, by_name))
        elif before is not None and fit.misfit(pod, before) is None:
            assignment.put(pod, before)
    load = Counter(node.name for node in assignment.of.values())
    for pod in pods:
        if pod.ref in assignment.of:
            continue
        misfits = [fit.misfit(pod, node) for node in nodes]
        suited = [node for node, why in zip(nodes, misfits, strict=True) if why is None]
        free = [node for node in suited if assignment.has_room(pod, node)]
        if not free:
            assignment.waiting[pod.ref] = _PORTS_TAKEN if suited else why_nowhere(misfits)
            continue
        chosen = min(free, key=lambda node: (load.get(node.name, 0), node.index))
        assignment.put(pod, chosen)
        load[chosen.name] += 1
    return assignment


def _named(pod: Pod, name: NodeName, nodes: Mapping[NodeName, NodePlan]) -> NodePlan:
    if name not in nodes:
        raise Refused(pod.ref, "spec.nodeName", f"there is no Node {name}; there are {', '.join(sorted(nodes))}")
    return nodes[name]


def _host_ports(pod: Pod, node: NodePlan) -> Iterable[tuple[NodeName, PodPort]]:
    ports = pod.ports if pod.host_network else ()
    return ((node.name, PodPort(port.protocol, port.port)) for port in ports)
