"""
What objects ask for that twinway does not do yet: reported by field, while the rest is served.

The table for people is in README, "What is served"; both are one list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from twinway.model.net import NotServed, ObjectRef
from twinway.sources.decode.fields import Schema, field_path, shown


class UnservedSpec(Schema):
    """
    Base of a Service's `spec`: fields of which it only matters whether they ask for anything.

    They may hold anything: a field that nobody acts on cannot be wrong.
    """

    external_ips: Any = Field(None, alias="externalIPs")
    session_affinity: Any = None
    external_traffic_policy: Any = None
    health_check_node_port: Any = None
    load_balancer_source_ranges: Any = None


def of_service(ref: ObjectRef, kind: str, spec: UnservedSpec) -> Iterator[NotServed]:
    """What a Service of this type asks for in vain, in the order of its fields."""
    if kind == "NodePort":
        yield NotServed(ref, "spec.type", "NodePort: no node port is opened; its cluster IP is served")
    if kind == "LoadBalancer":
        reason = "LoadBalancer: neither its load balancer's addresses nor node ports are served; its cluster IP is"
        yield NotServed(ref, "spec.type", reason)
    if spec.external_ips:
        yield NotServed(ref, "spec.externalIPs", f"{shown(spec.external_ips)}: nothing answers there")
    if spec.session_affinity not in (None, "", "None"):
        reason = f"{_word(spec.session_affinity)}: each connection is given any backend, whoever asks"
        yield NotServed(ref, "spec.sessionAffinity", reason)
    if spec.external_traffic_policy not in (None, "", "Cluster"):
        reason = f"{_word(spec.external_traffic_policy)}: clients from outside are not served at all"
        yield NotServed(ref, "spec.externalTrafficPolicy", reason)
    if spec.health_check_node_port:
        reason = f"{spec.health_check_node_port}: nothing answers on this port of the node"
        yield NotServed(ref, "spec.healthCheckNodePort", reason)
    if spec.load_balancer_source_ranges:
        reason = "there is no load balancer's address that they could restrict; the cluster IP answers everybody"
        yield NotServed(ref, "spec.loadBalancerSourceRanges", reason)


def sctp_port(ref: ObjectRef, index: int) -> NotServed:
    """Of a Service's port whose protocol no driver translates."""
    place = field_path(("spec", "ports", index, "protocol"))
    return NotServed(ref, place, "SCTP: not translated; clients reach pods by their own addresses alone")


def host_port(ref: ObjectRef, place: tuple[str | int, ...], number: object) -> NotServed:
    """Of a port of a pod's container that is to be open on the node, too."""
    reason = f"{shown(number)}: not opened here; a plugin of the CNI chain may (portmap)"
    return NotServed(ref, field_path(place), reason)


def _word(value: object) -> str:
    return value[:60] if isinstance(value, str) and value.isprintable() else shown(value)
