"""Which addresses each pod has: those it says, those it had, else the next free ones of its node's ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from twinway.model.cluster import Pod
from twinway.model.net import Family, IPAddress, ObjectRef
from twinway_lab.plan.addresses import Pool
from twinway_lab.plan.plan import NodePlan, PodPlan
from twinway_lab.plan.refused import Refused


class Ipam:
    """Who has which address, while one plan is made."""

    def __init__(self, nodes: Sequence[NodePlan], pods: Sequence[Pod]) -> None:
        """Nodes and gateways first, then what pods say themselves; raises `Refused` where two say the same."""
        self._pods = pods
        self._owners: dict[IPAddress, str] = {}
        for node in nodes:
            for family in Family:
                self._owners[node.gateway(family)] = f"the gateway of Node {node.name}"
            self._owners |= dict.fromkeys(node.addresses, f"Node {node.name}'s")
        for pod in pods:
            for address in () if pod.host_network else pod.addresses:
                self._claim(pod.ref, address)
        self._nodes = nodes

    def given_out(
        self, nodes: Mapping[ObjectRef, NodePlan], kept: Mapping[ObjectRef, PodPlan]
    ) -> dict[ObjectRef, tuple[IPAddress, ...]]:
        """The addresses of every pod; raises `Refused` where a range is used up."""
        found = {pod.ref: _said(pod, nodes[pod.ref]) for pod in self._pods if pod.addresses or pod.host_network}
        for ref, before in kept.items():
            if ref not in found and self._stays(before, nodes[ref]):
                found[ref] = before.addresses
                for address in before.addresses:
                    self._claim(ref, address)
        pools = {node.name: [Pool(block, self._owners) for block in node.pod_cidrs] for node in self._nodes}
        for pod in self._pods:
            if pod.ref not in found:
                found[pod.ref] = tuple(_next(pod.ref, nodes[pod.ref], pools[nodes[pod.ref].name]))
        return found

    def _claim(self, ref: ObjectRef, address: IPAddress) -> None:
        if address in self._owners:
            raise Refused(ref, "status.podIPs", f"{address} is {self._owners[address]} already")
        self._owners[address] = f"{ref}'s"

    def _stays(self, before: PodPlan, node: NodePlan) -> bool:
        return (
            before.node == node.name
            and not before.host_network
            and [address.version for address in before.addresses] == [block.version for block in node.pod_cidrs]
            and all(node.holds(address) and address not in self._owners for address in before.addresses)
        )


def _said(pod: Pod, node: NodePlan) -> tuple[IPAddress, ...]:
    if not pod.host_network:
        return pod.addresses
    firsts = (node.address(family) for family in Family)
    return tuple(address for address in firsts if address is not None)


def _next(ref: ObjectRef, node: NodePlan, pools: Sequence[Pool]) -> Iterator[IPAddress]:
    for pool in pools:
        address = pool.take()
        if address is None:
            raise Refused(ref, "status.podIPs", f"{pool.network} of Node {node.name} has no address left")
        yield address
