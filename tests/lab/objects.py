"""Kubernetes objects for labs, built one from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinway.sources.manifests.parse import Document

Object = dict[str, Any]
FILE = Path("shop.yaml")


def node(name: str, *addresses: str, cidrs: tuple[str, ...] = (), **labels: str) -> Object:
    """A Node with these own addresses and pod ranges."""
    listed = [{"type": "InternalIP", "address": address} for address in addresses]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": cidrs[0], "podCIDRs": list(cidrs)} if cidrs else {},
        "status": {"addresses": listed},
    }


def pod(name: str, *addresses: str, on: str | None = None, host: bool = False, tcp: int = 80) -> Object:
    """A Pod in `shop` that answers on one TCP port."""
    spec: Object = {"containers": [{"name": "c", "ports": [{"containerPort": tcp}]}], "hostNetwork": host}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": name, "labels": {"app": name}},
        "spec": spec | ({"nodeName": on} if on else {}),
        "status": {"podIPs": [{"ip": address} for address in addresses]},
    }


def deployment(name: str, replicas: int, kind: str = "Deployment") -> Object:
    """A workload in `shop` of pods that answer on TCP port 80."""
    containers = [{"name": "c", "ports": [{"containerPort": 80}]}]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"namespace": "shop", "name": name},
        "spec": {
            "replicas": replicas,
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    }


def service(name: str, **spec: Any) -> Object:
    """A Service in `shop` for the pods labelled with its name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]} | spec,
    }


def documents(*objects: Object) -> tuple[Document, ...]:
    """The objects as they come out of one file."""
    return tuple(Document(FILE, f"document {number}", each) for number, each in enumerate(objects, start=1))
