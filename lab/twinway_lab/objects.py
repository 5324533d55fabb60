"""From the user's documents to all that a lab must be: `understood`, the one place that refuses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twinway.errors import ManifestError
from twinway.model.cluster import Node, Pod, Service
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.policy import ClusterPolicy, NetworkPolicy
from twinway.sources.decode import Value, decode_object
from twinway.sources.parse import Document
from twinway_lab import documents as docs
from twinway_lab.plan import Plan
from twinway_lab.planner import DEFAULT_NODES, Given, planned
from twinway_lab.raw import Object, section
from twinway_lab.refused import Refused
from twinway_lab.services import Allocator
from twinway_lab.workloads import expanded


@dataclass(frozen=True, slots=True)
class Understood:
    """The user's documents, the objects they come to, and the plan made of these."""

    documents: tuple[Document, ...]
    objects: tuple[Object, ...]
    plan: Plan


def understood(
    documents: Sequence[Document],
    before: Plan,
    services: Mapping[ObjectRef, Object],
    *,
    bad_policies: bool = False,
) -> Understood:
    """
    What these documents ask for; raises `ManifestError`, a line for each fault with file, object and field.

    `before` and `services` are what the lab is now: what it has given out, it does not change. With
    `bad_policies` faults of policies are left to the agents to find.
    """
    docs.by_name(documents)
    nodes = _nodes(documents)
    pods, wrong = expanded(documents, nodes)
    refusals = [f"{document}: {rejected}" for document, rejected in wrong]
    whole = _with_services(pods, services)
    values: list[tuple[Document, Value]] = []
    for document in whole:
        value, rejected = decode_object(document.data)
        if not (bad_policies and isinstance(value, NetworkPolicy | ClusterPolicy)):
            refusals += [f"{document}: {each}" for each in rejected]
        if value is not None:
            values.append((document, value))
    if refusals:
        raise ManifestError("\n".join(refusals))
    plan = _planned(values, before)
    return Understood(tuple(documents), tuple(document.data for document in whole), plan)


def _nodes(documents: Sequence[Document]) -> list[Node]:
    decoded = [decode_object(each.data)[0] for each in documents if each.data.get("kind") == "Node"]
    nodes = [value for value in decoded if isinstance(value, Node)]
    return nodes or [Node(ObjectRef("Node", "", name), {}, (), ()) for name in DEFAULT_NODES]


def _with_services(documents: Sequence[Document], before: Mapping[ObjectRef, Object]) -> list[Document]:
    allocator = Allocator([each.data for each in documents if each.data.get("kind") == "Service"], before)
    completed: list[Document] = []
    for each in documents:
        service = each.data.get("kind") == "Service"
        completed.append(Document(each.path, each.place, allocator.completed(each.data)) if service else each)
    return completed


def _planned(values: Sequence[tuple[Document, Value]], before: Plan) -> Plan:
    origins = {value.ref: document for document, value in values}
    selectors = {value.ref: _node_selector(document.data) for document, value in values if isinstance(value, Pod)}
    given = Given(
        nodes=[value for _, value in values if isinstance(value, Node)],
        pods=[value for _, value in values if isinstance(value, Pod)],
        selectors=selectors,
    )
    try:
        _check_names(values)
        _check_cluster_ips([value for _, value in values if isinstance(value, Service)])
        return planned(given, before)
    except Refused as refused:
        origin = origins.get(refused.rejected.ref)
        raise ManifestError(f"{origin}: {refused}" if origin else str(refused)) from refused


def _node_selector(pod: Object) -> Mapping[str, str]:
    return section(section(pod, "spec"), "nodeSelector")


def _check_names(values: Sequence[tuple[Document, Value]]) -> None:
    # A pod of a workload may have the name of a pod that stands by itself.
    seen: set[ObjectRef] = set()
    for _, value in values:
        if value.ref in seen:
            raise Refused(value.ref, "metadata.name", "a workload has a pod of this name, too")
        seen.add(value.ref)


def _check_cluster_ips(services: Sequence[Service]) -> None:
    owners: dict[IPAddress, ObjectRef] = {}
    for service in services:
        for address in service.cluster_ips:
            owner = owners.setdefault(address, service.ref)
            if owner != service.ref:
                raise Refused(service.ref, "spec.clusterIP", f"{address} is {owner}'s already")
