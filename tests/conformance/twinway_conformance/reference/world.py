"""The plain objects of a cluster, with the look-ups that policy and Services need."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twinway_conformance.objects import Object

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class World:
    """All objects of a cluster. Nothing is computed in advance."""

    objects: Sequence[Object]

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """The objects of these kinds."""
        return (thing for thing in self.objects if thing["kind"] in kinds)

    def pods(self) -> Iterator[Object]:
        """Pods that have not finished."""
        return (pod for pod in self.of_kind("Pod") if phase(pod) not in ("Succeeded", "Failed"))

    def pod(self, name: str) -> Object | None:
        """The pod `ns/name`."""
        return next((pod for pod in self.pods() if full_name(pod) == name), None)

    def pod_at(self, address: Address) -> Object | None:
        """The pod with a network of its own that has this address."""
        return next((pod for pod in self.pods() if not on_host(pod) and address in self.addresses(pod)), None)

    def node(self, name: str) -> Object | None:
        """The node of this name."""
        return next((node for node in self.of_kind("Node") if node["metadata"]["name"] == name), None)

    def node_at(self, address: Address) -> Object | None:
        """The node that has this address."""
        return next((node for node in self.of_kind("Node") if address in node_addresses(node)), None)

    def addresses(self, pod: Object) -> list[Address]:
        """A pod's addresses, or its node's if it uses the host's network."""
        if on_host(pod):
            node = self.node(pod["spec"]["nodeName"])
            return node_addresses(node) if node else []
        return [ipaddress.ip_address(entry["ip"]) for entry in pod.get("status", {}).get("podIPs") or ()]

    def namespace_labels(self, name: str) -> dict[str, str]:
        """A namespace's labels, with the one that the API server sets."""
        found = next((space for space in self.of_kind("Namespace") if space["metadata"]["name"] == name), None)
        return {"kubernetes.io/metadata.name": name} | (labels(found) if found else {})


def full_name(thing: Object) -> str:
    """`ns/name`."""
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def labels(thing: Object) -> dict[str, str]:
    """An object's labels."""
    return dict(thing["metadata"].get("labels") or {})


def phase(pod: Object) -> str:
    """A pod's phase."""
    return str(pod.get("status", {}).get("phase", ""))


def on_host(pod: Object) -> bool:
    """Whether a pod uses its node's network."""
    return bool(pod["spec"].get("hostNetwork"))


def node_addresses(node: Object) -> list[Address]:
    """A node's IP addresses."""
    entries = node.get("status", {}).get("addresses") or ()
    return [ipaddress.ip_address(entry["address"]) for entry in entries if entry["type"].endswith("IP")]


def container_ports(pod: Object) -> Iterator[tuple[str, str, int]]:
    """(name, protocol, number) of each declared port."""
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            yield port.get("name", ""), port.get("protocol", "TCP"), port["containerPort"]


def is_ready(pod: Object) -> bool:
    """Whether a pod's Ready condition is True."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
