"""Names and addresses of the cluster's hosts, pods and Services."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

UNDERLAY: tuple[Network, ...] = (ip_network("172.30.0.0/24"), ip_network("fd00:172:30::/64"))
POD_CIDRS: tuple[Network, ...] = (ip_network("10.244.0.0/16"), ip_network("fd00:10:244::/56"))
SERVICE_CIDRS: tuple[Network, ...] = (ip_network("10.96.0.0/16"), ip_network("fd00:10:96::/112"))
DNS_IP = "10.96.0.10"
API_PORT = 6443
CONTROL = "control"


def node_names(count: int) -> list[str]:
    """The names of so many nodes."""
    return [f"node{number}" for number in range(1, count + 1)]


def addresses(host: str) -> list[str]:
    """A host's addresses on the underlay, IPv4 first: the control host has number 1, nodes begin at 11."""
    number = 1 if host == CONTROL else 10 + int(host.removeprefix("node"))
    return [str(network[number]) for network in UNDERLAY]


def api_server() -> str:
    """The API server's URL, by which every host reaches it."""
    return f"https://{addresses(CONTROL)[0]}:{API_PORT}"


def joined(networks: tuple[Network, ...]) -> str:
    """These networks as Kubernetes' options have them."""
    return ",".join(map(str, networks))
