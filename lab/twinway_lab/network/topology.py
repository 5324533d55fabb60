"""
The links and addresses of a lab, as `ip` commands in order. Pure.

    external ── br0 ── eth0 of each node       the namespace of br0 is also the router: the nodes' default
                 └──── eth1 of each node       route, and with macvlan and ipvlan the pods' gateway, as a
                                               cloud's VPC router is

Only nodes with macvlan or ipvlan pods have an eth1, their pods' parent (`parent.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from twinway.model.net import Family, IPAddress
from twinway_lab.plan.addresses import EXTERNAL_HOST, ROUTER, on_link_prefix
from twinway_lab.plan.plan import NodePlan

QUIET: Mapping[str, str] = {
    # Addresses are usable at once, and nothing but the lab's own routes decides.
    "ipv6/conf/all/accept_dad": "0",
    "ipv6/conf/default/accept_dad": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
}
"""Settings of every namespace, written before it has devices."""
FORWARDING: Mapping[str, str] = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/forwarding": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
}
"""Settings of namespaces that forward."""


def underlay() -> list[str]:
    """The bridge, in the underlay's namespace."""
    return [
        "link set lo up",
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        "link set br0 up",
        *(_address(ROUTER[family], "br0") for family in Family),
    ]


def plugged(port: str, netns: str, device: str = "eth0", mac: str = "") -> list[str]:
    """A device in the namespace `netns`, plugged into the bridge; runs in the underlay's namespace."""
    own = f" address {mac}" if mac else ""
    return [
        f"link add {port} type veth peer name {device}{own} netns {netns}",
        f"link set {port} master br0 up",
    ]


def node_port(node: NodePlan) -> str:
    """The bridge's port that a node is plugged into."""
    return f"node{node.index}"


def node_mac(node: NodePlan) -> str:
    """The MAC of a node's eth0."""
    return f"02:00:ac:1e:00:{node.index + 10:02x}"


def external() -> list[str]:
    """The external host, in its own namespace, once it is plugged in."""
    return [
        "link set lo up",
        "link set eth0 up",
        *(_address(EXTERNAL_HOST[family], "eth0") for family in Family),
        *(f"route add default via {ROUTER[family]} src {EXTERNAL_HOST[family]}" for family in Family),
    ]


def beyond() -> list[str]:
    """The router's default route: the external host stands for the world."""
    return [f"route add default via {EXTERNAL_HOST[family]} dev br0" for family in Family]


def node(plan: NodePlan) -> list[str]:
    """A node, in its own namespace, once it is plugged in."""
    lines = ["link set lo up", "link set eth0 up", f"address add {link_local(plan)}/64 dev eth0 nodad"]
    lines += [_address(address, "eth0") for address in plan.addresses]
    for family in Family:
        own = plan.address(family)
        source = f" src {own}" if own else ""
        lines.append(f"route add default via {ROUTER[family]} dev eth0 onlink{source}")
    return lines


def link_local(node: NodePlan) -> str:
    """The link-local address that every node has on eth0."""
    return f"fe80::{node.index + 10:x}"


def _address(address: IPAddress, device: str) -> str:
    return f"address add {address}/{on_link_prefix(address)} dev {device}{nodad(address.version)}"


def nodad(version: int) -> str:
    """The word that makes an IPv6 address usable at once."""
    return " nodad" if version == 6 else ""
