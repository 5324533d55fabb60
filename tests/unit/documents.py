"""Good Kubernetes objects as dictionaries, and a way to change one of their fields."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Document = dict[str, Any]

SERVICE: Document = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {
        "clusterIP": "10.96.0.1",
        "selector": {"app": "web"},
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http"},
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353},
        ],
    },
}

SLICE: Document = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True},
            "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
        }
    ],
}

POD: Document = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
    "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
}

NAMESPACE: Document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}

NODE: Document = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1"},
    "spec": {"podCIDR": "10.0.0.0/24"},
    "status": {
        "addresses": [
            {"type": "InternalIP", "address": "192.168.0.1"},
            {"type": "Hostname", "address": "n1"},
        ]
    },
}

GOOD = {each["kind"]: each for each in (SERVICE, SLICE, POD, NAMESPACE, NODE)}


def having(document: Document, path: str, value: object) -> Document:
    """A copy of `document` with another value at `path`, as in `spec.ports.0.port`."""
    changed = deepcopy(document)
    *parents, last = path.split(".")
    place: Any = changed
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[int(last) if isinstance(place, list) else last] = value
    return changed


def lacking(document: Document, path: str) -> Document:
    """A copy of `document` without the field at `path`."""
    changed = deepcopy(document)
    *parents, last = path.split(".")
    place: Any = changed
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    del place[last]
    return changed
