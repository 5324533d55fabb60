"""Builders of Kubernetes objects as plain dicts, as `kubectl get -o json` shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv6Address
from typing import Any

Object = dict[str, Any]
Labels = Mapping[str, str]


def six(address: str) -> str:
    """The IPv6 address that corresponds to an IPv4 address of the suite: 10.244.1.20 → fd00:244:1::20."""
    _, second, third, last = address.split(".")
    return str(IPv6Address(f"fd00:{second}:{third}::{last}"))


def both(address: str, families: Sequence[int]) -> list[str]:
    """`address` in each of the families, in their order."""
    return [address if family == 4 else six(address) for family in families]


def at(address: str, port: int) -> str:
    """HOST:PORT as `twinway lab probe --to` takes it, IPv6 in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def alone(address: str) -> str:
    """The range of exactly this address."""
    return f"{address}/{128 if ':' in address else 32}"


def family_of(address: str) -> int:
    """IP version of an address or HOST:PORT."""
    return 6 if address.count(":") > 1 else 4


def key_of(thing: Object) -> tuple[str, str, str]:
    """The (kind, namespace, name) of an object."""
    metadata = thing["metadata"]
    return thing["kind"], metadata.get("namespace", ""), metadata["name"]


def named(thing: Object) -> str:
    """`ns/name` of a namespaced object."""
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def namespace(name: str, labels: Labels | None = None) -> Object:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}


def node(name: str, addresses: Sequence[str], pod_cidrs: Sequence[str], labels: Labels | None = None) -> Object:
    """A Node with its own addresses and pod ranges."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"podCIDR": pod_cidrs[0], "podCIDRs": list(pod_cidrs)},
        "status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]},
    }


def container_port(number: int, protocol: str = "TCP", name: str = "") -> Object:
    """A port that a pod's container declares. Pods of the lab answer on it."""
    return {"containerPort": number, "protocol": protocol} | ({"name": name} if name else {})


def pod(
    name: str, where: str, addresses: Sequence[str], ports: Iterable[Object], labels: Labels | None = None
) -> Object:
    """A running, ready Pod `ns/name` on node `where`. Without addresses, it uses the host's network."""
    space, _, own = name.partition("/")
    status: Object = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    if addresses:
        status |= {"podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses]}
    spec: Object = {"nodeName": where, "containers": [{"name": "main", "image": "none", "ports": list(ports)}]}
    if not addresses:
        spec["hostNetwork"] = True
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": space, "name": own, "labels": dict(labels or {})},
        "spec": spec,
        "status": status,
    }


def unready(thing: Object) -> Object:
    """The same Pod, not ready."""
    status = thing["status"] | {"conditions": [{"type": "Ready", "status": "False"}]}
    return thing | {"status": status}


def port(number: int, target: int | str, protocol: str = "TCP", name: str = "") -> Object:
    """A port of a Service: its own number, and the number or name of the backends' port."""
    return {
        "name": name or f"{protocol.lower()}-{number}",
        "port": number,
        "targetPort": target,
        "protocol": protocol,
    }


def service(
    name: str, addresses: Sequence[str], ports: Iterable[Object], selector: Labels | None = None
) -> Object:
    """A ClusterIP Service `ns/name`. Without a selector, it needs EndpointSlices of its own."""
    space, _, own = name.partition("/")
    families = [f"IPv{family_of(address)}" for address in addresses]
    spec: Object = {
        "type": "ClusterIP",
        "clusterIP": addresses[0],
        "clusterIPs": list(addresses),
        "ipFamilies": families,
        "ipFamilyPolicy": "SingleStack" if len(families) == 1 else "RequireDualStack",
        "ports": list(ports),
    }
    if selector is not None:
        spec["selector"] = dict(selector)
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": space, "name": own}, "spec": spec}


def headless(name: str, ports: Iterable[Object], selector: Labels) -> Object:
    """A headless Service, which has names for DNS and nothing for the datapath."""
    space, _, own = name.partition("/")
    spec = {"clusterIP": "None", "clusterIPs": ["None"], "ports": list(ports), "selector": dict(selector)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": space, "name": own}, "spec": spec}


def endpoint(
    target: Object, address: str, *, ready: bool = True, serving: bool | None = None, terminating: bool = False
) -> Object:
    """One endpoint of an EndpointSlice: a pod by one of its addresses, with its conditions."""
    space, own = target["metadata"]["namespace"], target["metadata"]["name"]
    return {
        "addresses": [address],
        "conditions": {
            "ready": ready,
            "serving": ready if serving is None else serving,
            "terminating": terminating,
        },
        "nodeName": target["spec"]["nodeName"],
        "targetRef": {"kind": "Pod", "namespace": space, "name": own},
    }


def endpoint_slice(owner: Object, family: int, endpoints: Sequence[Object], targets: Mapping[str, int]) -> Object:
    """The EndpointSlice of one family of a Service; `targets` maps the names of ports to the backends' numbers."""
    space, own = owner["metadata"]["namespace"], owner["metadata"]["name"]
    ports = [
        {"name": entry["name"], "protocol": entry["protocol"], "port": targets[entry["name"]]}
        for entry in owner["spec"]["ports"]
        if entry["name"] in targets
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": space,
            "name": f"{own}-v{family}",
            "labels": {"kubernetes.io/service-name": own},
        },
        "addressType": f"IPv{family}",
        "ports": ports,
        "endpoints": list(endpoints),
    }
