"""
From objects to a plan: `planned`. The lab is its cluster's scheduler and IPAM.

Pure; what an earlier plan gave to a node or pod, it keeps as long as nothing given contradicts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from twinway.model.cluster import Node, Pod
from twinway.model.net import Family, IPAddress, IPNetwork, NodeName, ObjectRef
from twinway_lab.names import Place, pod_place
from twinway_lab.plan.addresses import (
    EXTERNAL_HOST,
    MOST_NODES,
    ROUTER,
    default_node_address,
    default_pod_cidr,
    family_of,
)
from twinway_lab.plan.ipam import Ipam
from twinway_lab.plan.plan import NodePlan, Plan, PodPlan, PodPort
from twinway_lab.plan.refused import Refused
from twinway_lab.plan.scheduler import Fit, assigned

DEFAULT_NODES = ("n1", "n2")


@dataclass(frozen=True, slots=True)
class Given:
    """What a plan is made of."""

    nodes: Sequence[Node]
    pods: Sequence[Pod]
    fit: Fit


class Planned(NamedTuple):
    """A plan, and the pods that are not in it because no node suits them, with the reason."""

    plan: Plan
    waiting: Mapping[ObjectRef, str]


def planned(given: Given, before: Plan) -> Planned:
    """The plan for these objects; raises `Refused`."""
    nodes = _nodes(given.nodes, before)
    live = sorted((pod for pod in given.pods if not pod.finished), key=lambda pod: pod.ref)
    earlier = {pod.place: pod for pod in before.pods}
    kept = {pod.ref: earlier[place] for pod in live if (place := _place(pod)) in earlier}
    assignment = assigned(live, nodes, given.fit, kept)
    placed = [pod for pod in live if pod.ref in assignment.of]
    kept = {ref: pod for ref, pod in kept.items() if ref in assignment.of}
    addresses = Ipam(nodes, placed).given_out(assignment.of, kept)
    pods = tuple(_pod(pod, assignment.of[pod.ref], addresses[pod.ref]) for pod in placed)
    _check_host_ports(pods)
    return Planned(Plan(nodes, pods), assignment.waiting)


def _pod(pod: Pod, node: NodePlan, addresses: tuple[IPAddress, ...]) -> PodPlan:
    ports = {PodPort(port.protocol, port.port) for port in pod.ports}
    return PodPlan(_place(pod), node.name, addresses, tuple(sorted(ports)), pod.host_network)


def _place(pod: Pod) -> Place:
    return pod_place(pod.ref.namespace, pod.ref.name)


def _nodes(given: Sequence[Node], before: Plan) -> tuple[NodePlan, ...]:
    if len(given) > MOST_NODES:
        raise Refused(given[MOST_NODES].ref, "metadata.name", f"a lab has at most {MOST_NODES} nodes")
    names = [node.ref.name for node in given] or list(DEFAULT_NODES)
    kept = {node.name: node.index for node in before.nodes if node.name in names}
    free = (number for number in range(1, MOST_NODES + 1) if number not in kept.values())
    known = {node.ref.name: node for node in given}
    plans = [_node(name, kept.get(NodeName(name)) or next(free), known.get(name)) for name in names]
    _check_apart(plans)
    return tuple(sorted(plans, key=lambda plan: plan.index))


def _node(name: str, index: int, given: Node | None) -> NodePlan:
    addresses = given.addresses if given else ()
    families = {family_of(each) for each in addresses} or set(Family)
    blocks: dict[Family, IPNetwork] = {}
    for block in given.pod_cidrs if given else ():
        blocks.setdefault(family_of(block), block)
    return NodePlan(
        name=NodeName(name),
        index=index,
        addresses=addresses or tuple(default_node_address(index, family) for family in Family),
        pod_cidrs=tuple(blocks.values()) or tuple(default_pod_cidr(index, family) for family in sorted(families)),
    )


def _check_apart(nodes: Sequence[NodePlan]) -> None:
    owners = {address: "the underlay's own" for hosts in (ROUTER, EXTERNAL_HOST) for address in hosts.values()}
    blocks: list[tuple[IPNetwork, str]] = []
    for node in nodes:
        ref = ObjectRef("Node", "", node.name)
        for address in node.addresses:
            if address in owners:
                raise Refused(ref, "status.addresses", f"{address} is {owners[address]} already")
            owners[address] = f"Node {node.name}'s"
        for block in node.pod_cidrs:
            for other, owner in blocks:
                if block.version == other.version and block.overlaps(other):
                    raise Refused(ref, "spec.podCIDR", f"{block} overlaps {other} of Node {owner}")
            blocks.append((block, node.name))


def _check_host_ports(pods: Iterable[PodPlan]) -> None:
    taken: dict[tuple[NodeName, PodPort], Place] = {}
    for pod in pods:
        for port in pod.ports if pod.host_network else ():
            other = taken.setdefault((pod.node, port), pod.place)
            if other != pod.place:
                reason = f"{port.number} {port.protocol} of node {pod.node} is Pod {other}'s already"
                raise Refused(ObjectRef("Pod", pod.place.namespace, pod.place.name), "spec.hostNetwork", reason)
