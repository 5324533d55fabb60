"""Which node each pod is on: where it says, where it was, else where the fewest are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinway.model.cluster import Pod
from twinway.model.net import NodeName, ObjectRef
from twinway_lab.plan import NodePlan, PodPlan
from twinway_lab.refused import Refused

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fit:
    """Which nodes suit a pod by its `spec.nodeSelector`."""

    labels: Mapping[str, Labels]
    """Of nodes, by name."""
    selectors: Mapping[ObjectRef, Labels]
    """Of pods that have one."""

    def __call__(self, pod: Pod, node: NodePlan) -> bool:
        """Whether the node has all the labels that the pod asks for."""
        return self.selectors.get(pod.ref, {}).items() <= self.labels.get(node.name, {}).items()


def homes_of(
    pods: Sequence[Pod], nodes: Sequence[NodePlan], fit: Fit, kept: Mapping[ObjectRef, PodPlan]
) -> dict[ObjectRef, NodePlan]:
    """The node of each pod, spread evenly; raises `Refused` for a pod that no node suits."""
    by_name = {node.name: node for node in nodes}
    homes: dict[ObjectRef, NodePlan] = {}
    for pod in pods:
        before = by_name.get(kept[pod.ref].node) if pod.ref in kept else None
        if pod.node is not None:
            homes[pod.ref] = _named(pod, pod.node, by_name)
        elif before is not None and fit(pod, before):
            homes[pod.ref] = before
    load = Counter(home.name for home in homes.values())
    for pod in pods:
        if pod.ref not in homes:
            homes[pod.ref] = _emptiest(pod, [node for node in nodes if fit(pod, node)], load)
            load[homes[pod.ref].name] += 1
    return homes


def _named(pod: Pod, name: NodeName, nodes: Mapping[NodeName, NodePlan]) -> NodePlan:
    if name not in nodes:
        raise Refused(pod.ref, "spec.nodeName", f"there is no Node {name}; there are {', '.join(sorted(nodes))}")
    return nodes[name]


def _emptiest(pod: Pod, suited: Sequence[NodePlan], load: Mapping[NodeName, int]) -> NodePlan:
    if not suited:
        raise Refused(pod.ref, "spec.nodeSelector", "no Node has these labels")
    return min(suited, key=lambda node: (load.get(node.name, 0), node.index))
