"""What a change of plan comes to: nodes and pods to remove, to make, and to leave alone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from twinway_lab.plan import NodePlan, Plan, PodPlan

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
    same = [node for node in wanted.nodes if all(node in plan.nodes for plan in before)]
    pods = _once((pod, plan.node(pod.node)) for plan in before for pod in plan.pods)
    staying = [pod for pod in wanted.pods if _stays(pod, [each for each, _ in pods], same, whole)]
    kept = {(pod.place, pod.network): pod for pod in staying}
    return Difference(
        gone_pods=tuple((pod, node) for pod, node in pods if node and (pod.place, pod.network) not in kept),
        gone_nodes=tuple(node for node in nodes if node not in same),
        new_nodes=tuple(node for node in wanted.nodes if node not in same),
        new_pods=tuple(pod for pod in wanted.pods if pod not in staying),
        other_ports=tuple(pod for pod in staying if any(_answers_otherwise(pod, each) for each, _ in pods)),
    )


def _stays(pod: PodPlan, before: Iterable[PodPlan], nodes: Iterable[NodePlan], whole: Whole) -> bool:
    home = next((node for node in nodes if node.name == pod.node), None)
    known = any((each.place, each.network) == (pod.place, pod.network) for each in before)
    return home is not None and known and whole(pod, home)


def _answers_otherwise(pod: PodPlan, before: PodPlan) -> bool:
    return pod.place == before.place and pod.ports != before.ports


Item = TypeVar("Item")


def _once(items: Iterable[Item]) -> list[Item]:
    return list(dict.fromkeys(items))
