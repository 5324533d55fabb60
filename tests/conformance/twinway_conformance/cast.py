"""
The cast of every test: two nodes, three namespaces, and pods that stay between tests.

    n1: shop/client  shop/near  bank/teller  yard/gate
    n2: shop/far  bank/vault  yard/dog  shop/host (uses the node's network)

Pods answer on `web` (TCP 80), `dns` and `log` (UDP 53 and 54), and on `own` (TCP), whose number differs
from pod to pod. `shop/host` answers on port 9500 of both protocols.
"""

from __future__ import annotations

from collections.abc import Sequence

from twinway_conformance.objects import Object, both, container_port, namespace, node, pod, six

NODES = {"n1": "192.168.64.11", "n2": "192.168.64.12"}
RANGES = {"n1": "10.244.1.0/24", "n2": "10.244.2.0/24"}
NAMESPACES = {"shop": {"team": "shop"}, "bank": {"team": "bank", "locked": "yes"}, "yard": {"team": "yard"}}

CLIENT, NEAR, FAR, HOST = "shop/client", "shop/near", "shop/far", "shop/host"
TELLER, VAULT = "bank/teller", "bank/vault"
GATE, DOG = "yard/gate", "yard/dog"
N1, N2 = "node/n1", "node/n2"

HOME = {CLIENT: "n1", NEAR: "n1", FAR: "n2", TELLER: "n1", VAULT: "n2", GATE: "n1", DOG: "n2", HOST: "n2"}
ADDRESS = {
    CLIENT: "10.244.1.10",
    NEAR: "10.244.1.20",
    TELLER: "10.244.1.30",
    GATE: "10.244.1.40",
    FAR: "10.244.2.20",
    VAULT: "10.244.2.30",
    DOG: "10.244.2.40",
}
"""IPv4 addresses of the pods that have a network of their own; `six` gives the IPv6 addresses."""
SERVERS = {"role": "server"}
OWN_PORT = {NEAR: 81, FAR: 82, VAULT: 83, CLIENT: 84, TELLER: 85, GATE: 86, DOG: 87}
"""The number of the named port `own` on each pod."""
ROLES = {NEAR: "server", FAR: "server", VAULT: "server"}
HOST_PORT = 9500


def pod_addresses(name: str, families: Sequence[int]) -> list[str]:
    """The addresses of a pod of the cast, or those of its node if it uses the host's network."""
    return both(ADDRESS.get(name) or NODES[HOME[name]], families)


def member(name: str, families: Sequence[int], **labels: str) -> Object:
    """A pod of the cast, with additional labels."""
    space, _, own = name.partition("/")
    if name == HOST:
        ports = [container_port(HOST_PORT, "TCP"), container_port(HOST_PORT, "UDP")]
    else:
        ports = [container_port(80, "TCP", "web"), container_port(OWN_PORT[name], "TCP", "own")]
        ports += [container_port(53, "UDP", "dns"), container_port(54, "UDP", "log")]
    role = {"role": ROLES.get(name, "host" if name == HOST else "client")}
    addresses = both(ADDRESS[name], families) if name in ADDRESS else []
    return pod(name, HOME[name], addresses, ports, {"name": own, "space": space} | role | labels)


def cluster(families: Sequence[int], without: Sequence[str] = ()) -> list[Object]:
    """Nodes, namespaces and pods of the cast, except the pods named in `without`."""
    nodes = [
        node(name, both(address, families), ranges(name, families), {"zone": name})
        for name, address in NODES.items()
    ]
    spaces = [namespace(name, labels) for name, labels in NAMESPACES.items()]
    return [*nodes, *spaces, *(member(name, families) for name in HOME if name not in without)]


def ranges(name: str, families: Sequence[int]) -> list[str]:
    """A node's pod ranges."""
    four = RANGES[name]
    return [four if family == 4 else f"{six(four.partition('/')[0])}/64" for family in families]
