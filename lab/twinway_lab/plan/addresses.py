"""Which addresses a lab hands out where nobody says any: nodes, pod ranges, pods, Services."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from twinway.model.net import Family, IPAddress, IPNetwork

UNDERLAY: dict[Family, IPNetwork] = {
    Family.V4: IPv4Network("172.30.0.0/24"),
    Family.V6: IPv6Network("fd00:30::/64"),
}
"""The network that nodes and the external host are plugged into."""
ROUTER: dict[Family, IPAddress] = {Family.V4: IPv4Address("172.30.0.1"), Family.V6: IPv6Address("fd00:30::1")}
EXTERNAL_HOST: dict[Family, IPAddress] = {
    Family.V4: IPv4Address("172.30.0.2"),
    Family.V6: IPv6Address("fd00:30::2"),
}
SERVICES: dict[Family, IPNetwork] = {
    Family.V4: IPv4Network("10.96.0.0/16"),
    Family.V6: IPv6Network("fd00:96::/112"),
}
"""What Services without a cluster IP are given one of."""
MOST_NODES = 200


def family_of(address: IPAddress | IPNetwork) -> Family:
    """The family of an address or block."""
    return Family(address.version)


def default_node_address(index: int, family: Family) -> IPAddress:
    """172.30.0.11 and fd00:30::11 for the first node."""
    if family is Family.V4:
        return IPv4Address(f"172.30.0.{10 + index}")
    return IPv6Address(f"fd00:30::{10 + index}")


def default_pod_cidr(index: int, family: Family) -> IPNetwork:
    """10.244.1.0/24 and fd00:244:1::/64 for the first node."""
    if family is Family.V4:
        return IPv4Network(f"10.244.{index}.0/24")
    return IPv6Network(f"fd00:244:{index}::/64")


def on_link_prefix(address: IPAddress) -> int:
    """The prefix length with which a node has this address: the underlay's, or the address alone."""
    network = UNDERLAY[family_of(address)]
    return network.prefixlen if address in network else address.max_prefixlen


class Pool:
    """Addresses of one block that nobody has, handed out in rising order from its third address on."""

    def __init__(self, network: IPNetwork, taken: Iterable[IPAddress]) -> None:
        """`taken` are never handed out."""
        self.network = network
        self._taken = {each for each in taken if each in network}
        self._next = 2

    def take(self) -> IPAddress | None:
        """The next free address, or None where there is none left."""
        last = self.network.num_addresses - 1  # the broadcast address; unused for IPv6, too
        while self._next < last:
            address: IPAddress = self.network[self._next]
            self._next += 1
            if address not in self._taken:
                return address
        return None
