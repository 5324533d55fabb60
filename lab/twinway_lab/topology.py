"""
How a lab is plugged together, as `ip` commands. Pure: text in order, nothing is touched.

    external ── br0 ── eth0 of each node       the namespace of br0 is also the router: the nodes' default
                                               route, and with macvlan and ipvlan the pods' gateway, as a
                                               cloud's VPC router is

What hangs on the plan alone is a `Line`, which can also be taken back: a change of plan is the
difference of two sets of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from twinway.model.net import Family, IPAddress
from twinway_lab.addresses import EXTERNAL_HOST, ROUTER, UNDERLAY, family_of, on_link_prefix
from twinway_lab.names import LabName, node_place
from twinway_lab.plan import NodePlan, Plan

SHARED_PARENT = ("macvlan", "ipvlan")
"""Pod devices that are made on the node's own device and pass by its IP stack."""

QUIET: Mapping[str, str] = {
    # Addresses are usable at once, and nothing but the lab's own routes decides.
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
}
"""Settings of every namespace, before there is any device."""
FORWARDING: Mapping[str, str] = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
}
"""Settings of those that forward."""


@dataclass(frozen=True, slots=True)
class Line:
    """An `ip` command that makes something, and the one that unmakes it."""

    put: str
    take: str


def underlay() -> list[str]:
    """The bridge, in the underlay's namespace."""
    return [
        "link set lo up",
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set br0 up",
        *(_address(ROUTER[family], "br0") for family in Family),
    ]


def plugged(port: str, netns: str) -> list[str]:
    """`eth0` of the namespace `netns` on the bridge, made in the underlay's namespace."""
    return [
        f"link add {port} type veth peer name eth0 netns {netns}",
        f"link set {port} master br0 up",
    ]


def node_port(node: NodePlan) -> str:
    """The bridge's port that a node is plugged into."""
    return f"node{node.index}"


def external() -> list[str]:
    """The external host, in its own namespace, once it is plugged in."""
    return [
        "link set lo up",
        "link set eth0 up",
        *(_address(EXTERNAL_HOST[family], "eth0") for family in Family),
        *(f"route add default via {ROUTER[family]} src {EXTERNAL_HOST[family]}" for family in Family),
    ]


def beyond() -> list[str]:
    """The router's way to the rest of the world: the external host stands for it."""
    return [f"route add default via {EXTERNAL_HOST[family]} dev br0" for family in Family]


def node(plan: NodePlan) -> list[str]:
    """A node, in its own namespace, once it is plugged in."""
    lines = ["link set lo up", "link set eth0 up", f"address add {_link_local(plan)}/64 dev eth0 nodad"]
    lines += [_address(address, "eth0") for address in plan.addresses]
    for family in Family:
        own = plan.address(family)
        source = f" src {own}" if own else ""
        lines.append(f"route add default via {ROUTER[family]} dev eth0 onlink{source}")
    return lines


def slave_name(device: str, parent_index: int) -> str:
    """The host's own slave of the pods' parent; ipvlan's is called as Terway calls it."""
    return f"{'ipvl' if device == 'ipvlan' else 'mvl'}_{parent_index}"


def slave(device: str, name: str, plan: NodePlan) -> list[str]:
    """
    The device by which a node reaches its own pods beside their shared parent, in its namespace.

    It resolves nothing by itself towards the wire: the node's addresses are eth0's there.
    Source: the layout of Terway, plugin/datapath/ipvlan_linux.go.
    """
    if device == "macvlan":
        lines = [f"link add link eth0 name {name} type macvlan mode bridge"]
    else:
        lines = [f"link add link eth0 name {name} type ipvlan mode l2", f"link set {name} arp off"]
    lines.append(f"link set {name} up")
    for address in plan.addresses:
        if address.version == 4:
            lines.append(f"address add {address}/32 dev {name} scope host")
        elif device == "ipvlan":  # its frames find their slave by address
            lines.append(f"address add {address}/128 dev {name} nodad")
    return lines


def lines_of(lab: LabName, plan: Plan, device: str) -> dict[str, frozenset[Line]]:
    """By namespace, all that the underlay and the nodes know of each other."""
    lines = {lab.underlay: frozenset(_router_lines(plan, device))}
    for each in plan.nodes:
        others = () if device in SHARED_PARENT else _routes_to_pods(plan, "eth0", but=each)
        lines[lab.netns(node_place(each.name))] = frozenset(others)
    return lines


def _router_lines(plan: Plan, device: str) -> Iterator[Line]:
    for each in plan.nodes:
        for address in each.addresses:
            if address not in UNDERLAY[family_of(address)]:
                yield _route(f"{address}", "dev br0")
    if device not in SHARED_PARENT:
        yield from _routes_to_pods(plan, "br0", but=None)
        return
    for each in plan.nodes:
        for block in each.pod_cidrs:
            own = f"{each.gateway(family_of(block))}/{block.prefixlen} dev br0"
            yield Line(f"address add {own}{_nodad(block.version)}", f"address del {own}")
    for address, _ in _strays(plan):
        yield _route(f"{address}", "dev br0")


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
    hop = str(own) if own else f"inet6 {_link_local(node)}"
    return f"via {hop} dev {device} onlink"


def _link_local(node: NodePlan) -> str:
    return f"fe80::{node.index + 10:x}"


def _route(destination: str, rest: str) -> Line:
    return Line(f"route replace {destination} {rest}", f"route del {destination} {rest}")


def _address(address: IPAddress, device: str) -> str:
    return f"address add {address}/{on_link_prefix(address)} dev {device}{_nodad(address.version)}"


def _nodad(version: int) -> str:
    return " nodad" if version == 6 else ""
