"""The plan: which nodes and pods a lab has, where they are, and which addresses they have. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from twinway.model.net import Family, IPAddress, IPNetwork, NodeName, Protocol
from twinway_lab.names import Place, pod_place

LINK_LOCAL_GATEWAY = {Family.V4: ip_address("169.254.1.1"), Family.V6: ip_address("fe80::1")}


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node. `index` counts from 1 and is kept as long as the node is there; defaults are made of it."""

    name: NodeName
    index: int
    addresses: tuple[IPAddress, ...]
    pod_cidrs: tuple[IPNetwork, ...]
    """At most one of each family."""

    def address(self, family: Family) -> IPAddress | None:
        """The node's first address of this family."""
        return next((each for each in self.addresses if each.version == family), None)

    def gateway(self, family: Family) -> IPAddress:
        """The next hop of its pods: the first host of their range."""
        ranges = (each for each in self.pod_cidrs if each.version == family)
        return next((each.network_address + 1 for each in ranges), LINK_LOCAL_GATEWAY[family])

    def block_of(self, address: IPAddress) -> IPNetwork | None:
        """The range of the node that the address is one of for pods; None where it is in none."""
        return next((each for each in self.pod_cidrs if address in each and _is_for_pods(address, each)), None)

    def holds(self, address: IPAddress) -> bool:
        """Whether the address is one that `host-local` hands out on this node."""
        return self.block_of(address) is not None

    def as_json(self) -> dict[str, Any]:
        """The node for a JSON file; `of_json` reads it."""
        return {
            "name": self.name,
            "index": self.index,
            "addresses": [str(each) for each in self.addresses],
            "pod_cidrs": [str(each) for each in self.pod_cidrs],
        }

    @classmethod
    def of_json(cls, words: dict[str, Any]) -> NodePlan:
        """The node that `as_json` wrote."""
        return cls(
            name=NodeName(words["name"]),
            index=words["index"],
            addresses=tuple(map(ip_address, words["addresses"])),
            pod_cidrs=tuple(map(ip_network, words["pod_cidrs"])),
        )


def _is_for_pods(address: IPAddress, block: IPNetwork) -> bool:
    return address not in (block.network_address, block.network_address + 1, block[-1])


@dataclass(frozen=True, slots=True, order=True)
class PodPort:
    """A port that a pod answers on."""

    protocol: Protocol
    number: int


@dataclass(frozen=True, slots=True)
class PodPlan:
    """A pod. `ports` are sorted, each once; the addresses of a host-network pod are its node's."""

    place: Place
    node: NodeName
    addresses: tuple[IPAddress, ...]
    ports: tuple[PodPort, ...]
    host_network: bool

    @property
    def network(self) -> tuple[object, ...]:
        """What cannot change without making the pod anew."""
        return self.node, self.addresses, self.host_network

    def as_json(self) -> dict[str, Any]:
        """The pod for a JSON file; `of_json` reads it."""
        return {
            "namespace": self.place.namespace,
            "name": self.place.name,
            "node": self.node,
            "addresses": [str(each) for each in self.addresses],
            "ports": [[port.protocol.value, port.number] for port in self.ports],
            "host_network": self.host_network,
        }

    @classmethod
    def of_json(cls, words: dict[str, Any]) -> PodPlan:
        """The pod that `as_json` wrote."""
        return cls(
            place=pod_place(words["namespace"], words["name"]),
            node=NodeName(words["node"]),
            addresses=tuple(map(ip_address, words["addresses"])),
            ports=tuple(PodPort(Protocol(protocol), number) for protocol, number in words["ports"]),
            host_network=words["host_network"],
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """All nodes, by index, and all pods that have a network, by name."""

    nodes: tuple[NodePlan, ...] = ()
    pods: tuple[PodPlan, ...] = ()

    def node(self, name: str) -> NodePlan | None:
        """The node of this name."""
        return next((each for each in self.nodes if each.name == name), None)

    def pod(self, place: Place) -> PodPlan | None:
        """The pod at this place."""
        return next((each for each in self.pods if each.place == place), None)

    def as_json(self) -> dict[str, Any]:
        """The plan for a JSON file; `of_json` reads it."""
        return {"nodes": [each.as_json() for each in self.nodes], "pods": [each.as_json() for each in self.pods]}

    @classmethod
    def of_json(cls, words: dict[str, Any]) -> Plan:
        """The plan that `as_json` wrote."""
        return cls(tuple(map(NodePlan.of_json, words["nodes"])), tuple(map(PodPlan.of_json, words["pods"])))
