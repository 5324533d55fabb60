"""
What the parts of a lab know of each other, as `ip` commands that can be taken back. Pure.

All of it hangs on the plan, and so a change of plan is the difference of two sets of lines.
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
    """An `ip` command that makes something, and the one that unmakes it."""

    put: str
    take: str


def lines_of(lab: LabName, plan: Plan, device: str) -> dict[str, frozenset[Line]]:
    """By namespace, all that the underlay and the nodes know of each other."""
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
    # With ipvlan the node's slave has the node's IPv6 addresses, too, and would answer for them from
    # the parent. A cloud's network knows where an address is, and asks nobody: so does this one.
    for each in plan.nodes if device == "ipvlan" else ():
        for address in each.addresses if each is not but else ():
            where = f"{address} dev {on}"
            yield Line(f"neigh replace {where} lladdr {node_mac(each)} nud permanent", f"neigh del {where}")


def _routes_to_pods(plan: Plan, device: str, *, but: NodePlan | None) -> Iterator[Line]:
    for each in plan.nodes:
        if each is not but:
            for block in each.pod_cidrs:
                yield _route(str(block), _via(each, family_of(block), device))
    for address, home in _strays(plan):
        if home is not but:
            yield _route(str(address), _via(home, family_of(address), device))


def _strays(plan: Plan) -> Iterator[tuple[IPAddress, NodePlan]]:
    # Addresses of pods that are in no range of their node.
    homes = {each.name: each for each in plan.nodes}
    for pod in plan.pods:
        home = homes[pod.node]
        for address in () if pod.host_network else pod.addresses:
            if not any(address in block for block in home.pod_cidrs):
                yield address, home


def _via(node: NodePlan, family: Family, device: str) -> str:
    own = node.address(family)
    # A node without an address of this family is reached by its link-local one, which always is there.
    hop = str(own) if own else f"inet6 {link_local(node)}"
    return f"via {hop} dev {device} onlink"


def _route(destination: str, rest: str) -> Line:
    return Line(f"route replace {destination} {rest}", f"route del {destination} {rest}")
