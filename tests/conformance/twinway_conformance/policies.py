"""Builders of NetworkPolicy and ClusterNetworkPolicy objects as plain dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twinway_conformance.objects import Labels, Object

ANY: Object = {}
"""As a rule, without `from`/`to` and `ports`: all peers, all ports. As a selector: everything."""


def labels(**pairs: str) -> Object:
    """A label selector by equality."""
    return {"matchLabels": dict(pairs)}


def expression(key: str, operator: str, *values: str) -> Object:
    """A label selector of one requirement, with the operator In, NotIn, Exists or DoesNotExist."""
    return {
        "matchExpressions": [{"key": key, "operator": operator} | ({"values": list(values)} if values else {})]
    }


def policy(
    name: str,
    selector: Object,
    *,
    ingress: Sequence[Object] | None = None,
    egress: Sequence[Object] | None = None,
    types: Sequence[str] | None = None,
) -> Object:
    """
    A NetworkPolicy `ns/name`. Fields that are None are left out of the object.

    By default, `types` are those of the given rules. Tests of the API's own default remove `policyTypes` again
    with `without_types`.
    """
    space, _, own = name.partition("/")
    given = [word for word, rules in (("Ingress", ingress), ("Egress", egress)) if rules is not None]
    spec: Object = {"podSelector": selector, "policyTypes": list(types if types is not None else given)}
    if ingress is not None:
        spec["ingress"] = list(ingress)
    if egress is not None:
        spec["egress"] = list(egress)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": space, "name": own},
        "spec": spec,
    }


def without_types(thing: Object) -> Object:
    """The same NetworkPolicy with `policyTypes` left to the API's default."""
    return thing | {"spec": {key: value for key, value in thing["spec"].items() if key != "policyTypes"}}


def source(*peers: Object, ports: Iterable[Object] | None = None) -> Object:
    """An ingress rule of these peers (without peers, `from` is an empty list) and these ports."""
    return {"from": list(peers)} | ({} if ports is None else {"ports": list(ports)})


def target(*peers: Object, ports: Iterable[Object] | None = None) -> Object:
    """An egress rule of these peers (without peers, `to` is an empty list) and these ports."""
    return {"to": list(peers)} | ({} if ports is None else {"ports": list(ports)})


def pods(selector: Object, namespaces: Object | None = None) -> Object:
    """A peer: pods of the policy's own namespace, or of the selected namespaces."""
    return {"podSelector": selector} | ({} if namespaces is None else {"namespaceSelector": namespaces})


def namespaces(selector: Object) -> Object:
    """A peer: every pod of the selected namespaces."""
    return {"namespaceSelector": selector}


def block(cidr: str, *excepted: str) -> Object:
    """A peer: an address range without the excepted ones."""
    return {"ipBlock": {"cidr": cidr} | ({"except": list(excepted)} if excepted else {})}


def open_port(number: int | str, protocol: str = "TCP", end: int | None = None) -> Object:
    """A port of a NetworkPolicy rule: a number, a name, or a range up to `end`."""
    return {"port": number, "protocol": protocol} | ({} if end is None else {"endPort": end})


def cluster_policy(name: str, tier: str, priority: int, subject: Object, **rules: Sequence[Object]) -> Object:
    """A ClusterNetworkPolicy; `ingress` and `egress` are its rules, in order."""
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"tier": tier, "priority": priority, "subject": subject} | {k: list(v) for k, v in rules.items()},
    }


def admin_policy(name: str, priority: int | None, subject: Object, **rules: Sequence[Object]) -> Object:
    """An AdminNetworkPolicy v1alpha1, or, without a priority, the BaselineAdminNetworkPolicy."""
    spec: Object = {"subject": subject} | {key: list(value) for key, value in rules.items()}
    if priority is not None:
        spec["priority"] = priority
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": "BaselineAdminNetworkPolicy" if priority is None else "AdminNetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def chosen(selector: Object, pods_selector: Object | None = None) -> Object:
    """The subject or a peer of a cluster-wide policy: pods by namespace, and optionally by their own labels."""
    if pods_selector is None:
        return {"namespaces": selector}
    return {"pods": {"namespaceSelector": selector, "podSelector": pods_selector}}


def verdict(action: str, way: str, *peers: Object, protocols: Sequence[Mapping[str, Any]] | None = None) -> Object:
    """A rule of a ClusterNetworkPolicy: `way` is `from` or `to`."""
    return {"action": action, way: list(peers)} | ({} if protocols is None else {"protocols": list(protocols)})


def transport(protocol: str, first: int, last: int | None = None) -> Object:
    """A protocol of a ClusterNetworkPolicy rule, with a port or a range of ports."""
    number: Object = {"number": first} if last is None else {"range": {"start": first, "end": last}}
    return {protocol: {"destinationPort": number}}


def with_labels(thing: Object, extra: Labels) -> Object:
    """The same object with labels added or replaced."""
    metadata = thing["metadata"]
    return thing | {"metadata": metadata | {"labels": metadata.get("labels", {}) | dict(extra)}}
