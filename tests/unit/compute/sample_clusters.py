"""
A small cluster for tests of policy: who may talk to whom, asked through the compiled tables.

Every pod with a network of its own is attached to the one node that is computed, so that any of them
can be the pod that is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from ipaddress import ip_address
from typing import Any

import yaml

from twinway.compute.policy.evaluate import Tables
from twinway.compute.policy.policies import Compiled, compile_policies
from twinway.model.cluster import Cluster
from twinway.model.net import IPAddress, NodeName, ObjectRef, Protocol, Rejected
from twinway.model.node import NO_POLICY, Action, Attachment, PolicySetId, PolicyState, Verdict
from twinway.model.policy import Direction
from twinway.sources.decode.registry import cluster, decode

NODE = NodeName("n1")
ICMP = 1
NUMBERS = {"ICMP": ICMP, **{protocol.value: protocol.number for protocol in Protocol}}

MANIFESTS = """
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
kind: Namespace
metadata: {name: bank, labels: {team: b}}
---
kind: Namespace
metadata: {name: dev, labels: {team: a, env: dev}}
---
kind: Node
metadata: {name: n1, labels: {zone: east}}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: InternalIP, address: "fd01::1"}]}
---
kind: Node
metadata: {name: n2, labels: {zone: west}}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}
"""

PODS: Mapping[str, tuple[dict[str, str], str, dict[str, tuple[str, int]]]] = {
    "shop/web": ({"app": "web", "tier": "front"}, "10.0.1.1", {"http": ("TCP", 80), "quic": ("UDP", 443)}),
    "shop/api": ({"app": "api", "tier": "back"}, "10.0.1.2", {"http": ("TCP", 8080)}),
    "shop/db": ({"app": "db", "tier": "back"}, "10.0.1.3", {"sql": ("TCP", 5432)}),
    "bank/web": ({"app": "web"}, "10.0.2.1", {"http": ("TCP", 81)}),
    "bank/api": ({"app": "api"}, "10.0.2.2", {"http": ("UDP", 8080)}),
    "dev/web": ({"app": "web"}, "10.0.3.1", {"http": ("TCP", 80)}),
    "dev/bare": ({}, "10.0.3.2", {}),
}
"""Labels, IPv4 address, and ports by name; each pod has an IPv6 address with the same last two numbers."""


def pod(name: str, **fields: Any) -> dict[str, Any]:
    """The manifest of one of `PODS`, or of another pod; `fields` go into its spec."""
    labels, address, ports = PODS.get(name, ({}, "10.0.9.9", {}))
    namespace, _, short = name.partition("/")
    named = [{"name": key, "protocol": each[0], "containerPort": each[1]} for key, each in ports.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": short, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": named}], **fields},
        "status": {"phase": "Running", "podIPs": [{"ip": address}, {"ip": sixth(address)}]},
    }


def sixth(address: str) -> str:
    """The IPv6 address of a pod with this IPv4 address."""
    *_, third, fourth = address.split(".")
    return f"fd00::{third}:{fourth}"


class Sample:
    """The cluster of this module, with policies (and other objects) in YAML on top of it."""

    def __init__(self, *manifests: str, without: Iterable[str] = (), pods: Iterable[dict[str, Any]] = ()) -> None:
        """`without` names pods that are not there; `pods` are more pods, or others of the same names."""
        more = list(pods)
        names = {f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in more}
        documents = [pod(name) for name in PODS if name not in {*without, *names}] + more
        for text in (MANIFESTS, *manifests):
            documents += [each for each in yaml.safe_load_all(text) if each]
        decoded = decode([{"apiVersion": api_version(each), **each} for each in documents])
        self.rejected: tuple[Rejected, ...] = decoded.rejected
        self.cluster: Cluster = cluster("1", decoded.values.values(), decoded.rejected)

    @cached_property
    def _all(self) -> Compiled:
        return compile_policies(self.cluster, NODE, attachments(self.cluster))

    @property
    def compiled(self) -> tuple[PolicyState, Mapping[ObjectRef, PolicySetId]]:
        """The state, and the set of each pod."""
        return self._all[:2]

    @property
    def unusable(self) -> tuple[Rejected, ...]:
        """What compute could not use."""
        return self._all[3]

    @cached_property
    def tables(self) -> Tables:
        """The state, ready to be asked."""
        return Tables(self.compiled[0])

    def set_of(self, name: str) -> PolicySetId:
        """The policy set of a pod."""
        return self.compiled[1][ref(name)]

    def limited(self, name: str) -> bool:
        """Whether any policy limits a pod."""
        return self.set_of(name) != NO_POLICY

    def address(self, place: str) -> IPAddress:
        """The address of a pod (`#6` after its name for IPv6), or of itself."""
        name, _, family = place.partition("#")
        if "/" not in name:
            return ip_address(name)
        addresses = self.cluster.pods[ref(name)].addresses
        return addresses[1] if family == "6" else addresses[0]

    def verdict(self, name: str, direction: Direction, peer: str, port: int, protocol: str) -> Verdict:
        """What the tables say of a pod and a peer."""
        number = NUMBERS[protocol]
        return self.tables.verdict(self.set_of(name), direction, self.address(peer), number, port)

    def ingress(self, name: str, peer: str, port: int = 80, protocol: str = "TCP") -> bool:
        """Whether `peer` may connect to a port of the pod."""
        return self.verdict(name, Direction.INGRESS, peer, port, protocol).action is Action.ALLOW

    def egress(self, name: str, peer: str, port: int = 80, protocol: str = "TCP") -> bool:
        """Whether the pod may connect to a port of `peer`."""
        return self.verdict(name, Direction.EGRESS, peer, port, protocol).action is Action.ALLOW

    def rule(self, name: str, direction: Direction, peer: str, port: int = 80, protocol: str = "TCP") -> str:
        """The rule behind a verdict, as `Kind namespace/name: place`."""
        found = self.compiled[0].rules[self.verdict(name, direction, peer, port, protocol).rule]
        return f"{found.object}: {found.place}"


def ref(name: str) -> ObjectRef:
    """The name of a pod."""
    namespace, _, short = name.partition("/")
    return ObjectRef("Pod", namespace, short)


def attachments(of: Cluster) -> dict[ObjectRef, Attachment]:
    """All pods of the cluster that have a network of their own, as if all were on one node."""
    return {
        each.ref: Attachment(each.ref, each.ref.name, f"/run/netns/{each.ref.name}", "eth0", each.addresses)
        for each in of.pods.values()
        if not each.host_network
    }


def api_version(document: Mapping[str, Any]) -> str:
    """The API version of a kind, so that tests need not repeat it."""
    match document["kind"]:
        case "NetworkPolicy":
            return "networking.k8s.io/v1"
        case "ClusterNetworkPolicy":
            return "policy.networking.k8s.io/v1alpha2"
        case "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy":
            return "policy.networking.k8s.io/v1alpha1"
        case _:
            return "v1"


def policy(name: str, spec: str, namespace: str = "shop") -> str:
    """A NetworkPolicy with this spec, in YAML's flow style."""
    return f"kind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"


def wide(name: str, spec: str, kind: str = "ClusterNetworkPolicy") -> str:
    """A cluster-wide policy with this spec, in YAML's flow style."""
    return f"kind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
