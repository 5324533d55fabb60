"""Objects as tests write them to an API server."""

from __future__ import annotations

from tests.cluster.api import Document
from twinway.sources.decode.registry import KINDS


def namespace(name: str, **labels: str) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(name: str, space: str = "default", **spec: object) -> Document:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space},
        "spec": {"ports": ports, **spec},
    }


def endpoint_slice(name: str, of: str, *addresses: str, space: str = "default") -> Document:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": space, "labels": {"kubernetes.io/service-name": of}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def pod(name: str, space: str = "default", node: str = "n1", **labels: str) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": labels, "annotations": {"note": "x" * 100}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
    }


def node(name: str, address: str = "") -> Document:
    addresses = [{"type": "InternalIP", "address": address}] if address else []
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": addresses}}


def policy(name: str, space: str = "default") -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }


def definition(version: str = "v1alpha2") -> Document:
    """A CustomResourceDefinition of ClusterNetworkPolicy that takes any field."""
    return definition_of("ClusterNetworkPolicy", version)


def definition_of(kind: str, version: str = "") -> Document:
    """A CustomResourceDefinition of a policy kind that takes any field, in the version that is read first."""
    version = version or KINDS[kind].versions[0].rpartition("/")[2]
    plural = f"{kind.lower()[:-1]}ies"
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.policy.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "policy.networking.k8s.io",
            "names": names,
            "scope": "Cluster",
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


def cluster_policy(name: str, version: str = "v1alpha2") -> Document:
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "tier": "Admin",
            "priority": 1,
            "subject": {"namespaces": {}},
            "ingress": [{"name": "all", "action": "Deny", "from": [{"namespaces": {}}]}],
        },
    }
