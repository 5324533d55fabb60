"""From the user's documents to all that a lab must be: `understood`, the one place that refuses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twinway.errors import ManifestError
from twinway.model.cluster import Node, Pod, Service
from twinway.model.net import IPAddress, ObjectRef, Rejected
from twinway.model.policy import ClusterPolicy, NetworkPolicy
from twinway.sources.decode.registry import Value, decode_object
from twinway.sources.manifests.parse import Document
from twinway_lab.objects import documents as docs
from twinway_lab.objects import nodelabels
from twinway_lab.objects.kinds import number_of
from twinway_lab.objects.mirror import mirrored
from twinway_lab.objects.raw import Object, section
from twinway_lab.objects.services import Allocator
from twinway_lab.objects.workloads import expanded
from twinway_lab.plan import suitability
from twinway_lab.plan.plan import Plan
from twinway_lab.plan.planner import DEFAULT_NODES, Given, planned
from twinway_lab.plan.refused import Refused
from twinway_lab.plan.scheduler import Fit
from twinway_lab.plan.suitability import Candidate, Wishes

_DEFAULTS = [Document(Path("default"), "Node", nodelabels.bare(name)) for name in DEFAULT_NODES]


@dataclass(frozen=True, slots=True)
class Understood:
    """The user's documents, the objects they come to, and the plan made of these."""

    documents: tuple[Document, ...]
    objects: tuple[Object, ...]
    plan: Plan
    notes: tuple[str, ...] = ()
    """What a person should know of it, a line each."""
    not_served: tuple[tuple[Document, str], ...] = ()
    """Fields that nobody serves, a line each, with the document that asks for it."""


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
    given = [nodelabels.labelled(each) if each.data.get("kind") == "Node" else each for each in documents]
    nodes, wrong_nodes = _candidates(given)
    pods, wrong, notes = expanded(given, nodes)
    wrong = (*wrong_nodes, *wrong)
    refusals = [f"{document}: {rejected}" for document, rejected in wrong]
    whole = _with_services(mirrored(pods), services)
    values: list[tuple[Document, Value]] = []
    for document in whole:
        value, rejected = decode_object(document.data)
        if not (bad_policies and isinstance(value, NetworkPolicy | ClusterPolicy)):
            refusals += [f"{document}: {each}" for each in rejected]
        if value is not None:
            values.append((document, value))
    if refusals:
        raise ManifestError("\n".join(refusals))
    plan, waiting = _planned(values, nodes, before)
    notes = (*notes, *_told(waiting, {value.ref: document.data for document, value in values}))
    not_served = tuple(_not_served(values))
    return Understood(tuple(documents), tuple(document.data for document in whole), plan, notes, not_served)


def _candidates(given: Sequence[Document]) -> tuple[list[Candidate], list[tuple[Document, Rejected]]]:
    documents = [each for each in given if each.data.get("kind") == "Node"] or _DEFAULTS
    found: list[Candidate] = []
    wrong: list[tuple[Document, Rejected]] = []
    for document in documents:
        value = decode_object(document.data)[0]
        if isinstance(value, Node):  # else it is refused where all objects are decoded
            one, rejected = suitability.candidate(document.data, value.ref)
            found += [one] if one else []
            wrong += [(document, each) for each in rejected]
    return found, wrong


def _with_services(documents: Sequence[Document], before: Mapping[ObjectRef, Object]) -> list[Document]:
    allocator = Allocator([each.data for each in documents if each.data.get("kind") == "Service"], before)
    completed: list[Document] = []
    for each in documents:
        service = each.data.get("kind") == "Service"
        completed.append(Document(each.path, each.place, allocator.completed(each.data)) if service else each)
    return completed


def _planned(
    values: Sequence[tuple[Document, Value]], nodes: Sequence[Candidate], before: Plan
) -> tuple[Plan, Mapping[ObjectRef, str]]:
    origins = {value.ref: document for document, value in values}
    given = Given(
        nodes=[value for _, value in values if isinstance(value, Node)],
        pods=[value for _, value in values if isinstance(value, Pod)],
        fit=Fit({node.name: node for node in nodes}, _wishes(values)),
    )
    try:
        _check_names(values)
        _check_cluster_ips([value for _, value in values if isinstance(value, Service)])
        return planned(given, before)
    except Refused as refused:
        origin = origins.get(refused.rejected.ref)
        raise ManifestError(f"{origin}: {refused}" if origin else str(refused)) from refused


def _wishes(values: Sequence[tuple[Document, Value]]) -> dict[ObjectRef, Wishes]:
    found: dict[ObjectRef, Wishes] = {}
    refusals: list[str] = []
    for document, value in values:
        if isinstance(value, Pod):
            wishes, rejected = suitability.wishes(section(document.data, "spec"), value.ref)
            refusals += [f"{document}: {each}" for each in rejected]
            if wishes is not None:
                found[value.ref] = wishes
    if refusals:
        raise ManifestError("\n".join(refusals))
    return found


def _not_served(values: Sequence[tuple[Document, Value]]) -> Iterator[tuple[Document, str]]:
    # All pods of a workload ask for the same: once is enough.
    seen: set[tuple[str, str, str]] = set()
    for document, value in values:
        for each in value.not_served if isinstance(value, Pod | Service) else ():
            name = _owner(document.data, each.ref)
            if (name, each.field, each.reason) not in seen:
                seen.add((name, each.field, each.reason))
                yield document, f"not served: {name}: {each.field}: {each.reason}"


def _owner(data: Object, ref: ObjectRef) -> str:
    """The workload that a pod is one of, else the object itself, by name."""
    owners = section(data, "metadata").get("ownerReferences")
    owner = owners[0] if isinstance(owners, list) and owners else None
    if not isinstance(owner, Mapping):
        return str(ref)
    return str(ObjectRef(str(owner.get("kind")), ref.namespace, str(owner.get("name"))))


def _told(waiting: Mapping[ObjectRef, str], objects: Mapping[ObjectRef, Object]) -> Iterator[str]:
    # One line for all pods of a workload that wait for the same reason.
    names: dict[tuple[str, str], int] = {}
    for ref, why in waiting.items():
        name = _owner(objects[ref], ref)
        names[name, why] = names.get((name, why), 0) + 1
    for (name, why), number in names.items():
        subject = name if name.startswith("Pod ") else f"{number_of(number, 'pod')} of {name}"
        yield f"{subject} {'is' if number == 1 else 'are'} on no Node, and pending: {why}"


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
