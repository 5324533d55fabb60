"""
Routes and neighbours between the parts of a lab, as pairs of `ip` commands that make and remove them. Pure.

They follow from the plan alone, so a change of plan is the difference of two sets of lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twinway.model.net import Family, IPAddress
from twinway_lab.names import EXTERNAL, LabName, node_place
from twinway_lab.network.parent import SHARED_PARENT
from twinway_lab.network.topology import link_local, nodad, node_mac
from twinway_lab.plan.addresses import UNDERLAY, family_of
from twinway_lab.plan.plan import NodePlan, Plan


@dataclass(frozen=True, slots=True)
class Line:
    """An `ip` command that makes something, and the one that removes it."""

    put: str
    take: str


def lines_of(lab: LabName, plan: Plan, device: str) -> dict[str, frozenset[Line]]:
    """By namespace, the routes and neighbours of the underlay and the nodes."""
    lines = {lab.underlay: frozenset(_router_lines(plan, device))}
    lines[lab.netns(EXTERNAL)] = frozenset(_neighbours(plan, "eth0", device, but=None))
    for each in plan.nodes:
        routes = () if device in SHARED_PARENT else _routes_to_pods(plan, "eth0", but=each)
        own = {*routes, *_neighbours(plan, "eth0", device, but=each)}
        lines[lab.netns(node_place(each.name))] = frozenset(own)
    return lines


def _router_lines(plan: Plan, device: str) -> Iterator[Line]:
    for each in plan.nodes:
        for address in each.addresses:
            if address not in UNDERLAY[family_of(address)]:
                yield _route(f"{address}", "dev br0")
    yield from _neighbours(plan, "br0", device, but=None)
    if device not in SHARED_PARENT:
        yield from _routes_to_pods(plan, "br0", but=None)
        return
    for each in plan.nodes:
        for block in each.pod_cidrs:
            own = f"{each.gateway(family_of(block))}/{block.prefixlen} dev br0"
            yield Line(f"address add {own}{nodad(block.version)}", f"address del {own}")
    for address, _ in _strays(plan):
        yield _route(f"{address}", "dev br0")


def _neighbours(plan: Plan, on: str, device: str, *, but: NodePlan | None) -> Iterator[Line]:
    # With ipvlan the node's slave has the node's IPv6 addresses, too, and would answer for them from the parent.
    # A cloud's network does not resolve neighbours, it knows where an address is; permanent entries do the same.
    for each in plan.nodes if device == "ipvlan" else ():
        for address in each.addresses if each is not but else ():
            where = f"{address} dev {on}"
            yield Line(f"neigh replace {where} lladdr {node_mac(each)} nud permanent", f"neigh del {where}")


def _routes_to_pods(plan: Plan, device: str, *, but: NodePlan | None) -> Iterator[Line]:
    for each in plan.nodes:
        if each is not but:
            for block in each.pod_cidrs:
                yield _route(str(block), _via(each, family_of(block), device))
    for address, node in _strays(plan):
        if node is not but:
            yield _route(str(address), _via(node, family_of(address), device))


def _strays(plan: Plan) -> Iterator[tuple[IPAddress, NodePlan]]:
    # Addresses of pods that are outside of every range of their node.
    nodes = {each.name: each for each in plan.nodes}
    for pod in plan.pods:
        node = nodes[pod.node]
        for address in () if pod.host_network else pod.addresses:
            if not any(address in block for block in node.pod_cidrs):
                yield address, node


def _via(node: NodePlan, family: Family, device: str) -> str:
    own = node.address(family)
    # A node without an address of this family is reached by its link-local one, which always is there.
    hop = str(own) if own else f"inet6 {link_local(node)}"
    return f"via {hop} dev {device} onlink"


def _route(destination: str, how: str) -> Line:
    return Line(f"route replace {destination} {how}", f"route del {destination} {how}")
