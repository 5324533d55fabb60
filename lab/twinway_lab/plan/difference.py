"""What a change of plan comes to: nodes and pods to remove, to make, and to leave alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twinway_lab.names import Place
from twinway_lab.plan.plan import NodePlan, Plan, PodPlan, PodPort

Whole = Callable[[PodPlan, NodePlan], bool]


@dataclass(frozen=True, slots=True)
class Difference:
    """Steps in their order: pods go before their nodes, nodes come before their pods."""

    gone_pods: tuple[tuple[PodPlan, NodePlan], ...]
    """Each with the node that it is on."""
    gone_nodes: tuple[NodePlan, ...]
    new_nodes: tuple[NodePlan, ...]
    new_pods: tuple[PodPlan, ...]
    other_ports: tuple[PodPlan, ...]
    """Pods that stay, but answer on other ports."""

    def stays(self, node: NodePlan) -> bool:
        """Whether the node is there before and after."""
        return node not in self.new_nodes and node not in self.gone_nodes


def difference(before: Sequence[Plan], wanted: Plan, whole: Whole) -> Difference:
    """
    The steps from what any of the plans `before` may have left to `wanted`.

    `whole` tells whether a pod is plugged in exactly as planned; one that is not is made anew.
    """
    nodes = _once(node for plan in before for node in plan.nodes)
    same = {node.name: node for node in wanted.nodes if all(node in plan.nodes for plan in before)}
    nodes_by_plan = [{node.name: node for node in plan.nodes} for plan in before]
    pods = _once(
        (pod, nodes[pod.node]) for plan, nodes in zip(before, nodes_by_plan, strict=True) for pod in plan.pods
    )
    known = {(pod.place, pod.network) for pod, _ in pods}
    ports: dict[Place, set[tuple[PodPort, ...]]] = {}
    for pod, _ in pods:
        ports.setdefault(pod.place, set()).add(pod.ports)
    kept = {
        pod.place: pod
        for pod in wanted.pods
        if pod.node in same and (pod.place, pod.network) in known and whole(pod, same[pod.node])
    }
    gone = {(pod.place, pod.network): (pod, node) for pod, node in pods if not _is(kept.get(pod.place), pod)}
    return Difference(
        gone_pods=tuple(gone.values()),
        gone_nodes=tuple(node for node in nodes if same.get(node.name) != node),
        new_nodes=tuple(node for node in wanted.nodes if node.name not in same),
        new_pods=tuple(pod for pod in wanted.pods if pod.place not in kept),
        other_ports=tuple(pod for pod in kept.values() if ports[pod.place] != {pod.ports}),
    )


def _is(kept: PodPlan | None, pod: PodPlan) -> bool:
    return kept is not None and kept.network == pod.network


Item = TypeVar("Item")


def _once(items: Iterable[Item]) -> list[Item]:
    return list(dict.fromkeys(items))
