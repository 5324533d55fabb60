"""Objects for the benches' labs: pods on one node, and Services that lead to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

NAMESPACE = "bench"


def node(name: str, number: int) -> Object:
    """A node with pods of 10.244.`number`.0/24."""
    block, address = f"10.244.{number}.0/24", f"192.168.64.{10 + number}"
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": block, "podCIDRs": [block]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }


NODE = node("n1", 1)


def metadata(name: str, labels: Mapping[str, str] | None = None) -> Object:
    """A name in the benches' namespace."""
    return {"name": name, "namespace": NAMESPACE, "labels": dict(labels or {"name": name})}


def pod(
    name: str, labels: Mapping[str, str] | None = None, *, ports: tuple[int, ...] = (), node: str = "n1"
) -> Object:
    """A pod; its `ports` are answered by the lab."""
    containers = [{"name": "c", "image": "none", "ports": [{"containerPort": port} for port in ports]}]
    spec = {"nodeName": node, "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name, labels), "spec": spec}


def service(name: str, selector: Mapping[str, str], address: str, port: int, target: int) -> Object:
    """A Service of one port."""
    spec = {
        "clusterIP": address,
        "clusterIPs": [address],
        "selector": dict(selector),
        "ports": [{"port": port, "targetPort": target, "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": spec}


def endpoints(service: str, port: int, *addresses: str) -> Object:
    """An EndpointSlice of a Service, all ready."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(service, {"kubernetes.io/service-name": service}),
        "addressType": "IPv4",
        "ports": [{"port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def policy(name: str, selector: Mapping[str, str], **spec: Any) -> Object:
    """A NetworkPolicy for pods with these labels."""
    body = {"podSelector": {"matchLabels": dict(selector)}, **spec}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name),
        "spec": body,
    }
