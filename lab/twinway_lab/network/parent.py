"""
The parent of a node's macvlan or ipvlan pods, and the node's own slave beside theirs, as `ip` commands.

The parent is a device of its own, without addresses, as a cloud's secondary interface is. It could not
be eth0: what comes for an address of an ipvlan slave goes to the slave, and with it the answers to
eth0's own questions for neighbours.

Source: the layout of Terway, plugin/datapath/ipvlan_linux.go.
"""

from __future__ import annotations

from collections.abc import Mapping

from twinway_lab.plan.plan import NodePlan

SHARED_PARENT = ("macvlan", "ipvlan")
"""Pod devices that are made on one parent and pass by the node's IP stack."""
PARENT = "eth1"


def port(node: NodePlan) -> str:
    """The bridge's port that the parent is plugged into."""
    return f"pods{node.index}"


def parent() -> list[str]:
    """The parent, in its node's namespace, once it is plugged in."""
    return [f"link set {PARENT} addrgenmode none", f"link set {PARENT} up"]


def slave_name(device: str, parent_index: int) -> str:
    """The node's own slave; ipvlan's is called as Terway calls it."""
    return f"{'ipvl' if device == 'ipvlan' else 'mvl'}_{parent_index}"


def slave(device: str, name: str, node: NodePlan) -> list[str]:
    """The device by which a node reaches its own pods, and they the node, in its namespace."""
    if device == "macvlan":
        lines = [f"link add link {PARENT} name {name} type macvlan mode bridge", f"link set {name} up"]
    else:
        lines = [f"link add link {PARENT} name {name} type ipvlan mode l2", f"link set {name} up"]
        lines.append(f"link set {name} arp off")  # not before it is up: coming up clears it
    for address in node.addresses:
        if address.version == 4:
            lines.append(f"address add {address}/32 dev {name} scope host")
        elif device == "ipvlan":  # its frames find their slave by address
            lines.append(f"address add {address}/128 dev {name} nodad")
    return lines


def settings(name: str) -> Mapping[str, str]:
    """Questions of the wire for the node's addresses are eth0's to answer, not the parent's or the slave's."""
    return {f"ipv4/conf/{PARENT}/arp_ignore": "8", f"ipv4/conf/{name}/arp_ignore": "8"}
