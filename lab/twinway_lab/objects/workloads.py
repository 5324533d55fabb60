"""Turn workloads into the pods that the controllers of a real cluster would make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from twinway.model.net import ObjectRef, Rejected
from twinway.sources.decode.fields import Labels, ListOf, Schema, read
from twinway.sources.decode.metadata import Annotations, ObjectSchema, ref_of
from twinway.sources.manifests.parse import Document
from twinway_lab.objects import ownership
from twinway_lab.plan import suitability
from twinway_lab.plan.suitability import Candidate, Wishes

WORKLOADS: Mapping[str, str] = {
    "Deployment": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicationController": "v1",
    "Job": "batch/v1",
}
"""Kinds that become pods, and the API version each is read in."""

MOST_PODS = 1000
_Count = Annotated[int, Field(ge=0, le=MOST_PODS)]


class _TemplateMetadata(Schema):
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)


class _Template(Schema):
    metadata: _TemplateMetadata = Field(default_factory=_TemplateMetadata)
    spec: dict[str, Any]


class _Ordinals(Schema):
    start: _Count = 0


class _Spec(Schema):
    replicas: _Count | None = None
    parallelism: _Count | None = None
    completions: _Count | None = None
    suspend: bool | None = None
    ordinals: _Ordinals | None = None
    template: _Template


class _Condition(Schema):
    type: str
    status: str


class _Status(Schema):
    conditions: ListOf[_Condition] = ()


class _Workload(ObjectSchema):
    spec: _Spec
    status: _Status | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is a Job that is done."""
        conditions = self.status.conditions if self.status else ()
        return any(each.type in ("Complete", "Failed") and each.status == "True" for each in conditions)


class Expanded(NamedTuple):
    """Documents without workloads, what is wrong with those that could not become pods, and what to tell."""

    documents: tuple[Document, ...]
    rejected: tuple[tuple[Document, Rejected], ...]
    notes: tuple[str, ...]


def expanded(documents: Sequence[Document], nodes: Sequence[Candidate]) -> Expanded:
    """
    Every workload replaced by its pods, named `NAME-0` and so on; all else as it was.

    A DaemonSet has one pod on each of `nodes` that suits it, named `NAME-NODE`.
    """
    done: list[Document] = []
    rejected: list[tuple[Document, Rejected]] = []
    notes: list[str] = []
    for document in ownership.at_rest(documents, WORKLOADS):
        if document.data.get("kind") not in WORKLOADS:
            done.append(document)
            continue
        workload, wrong = _read(document.data)
        ref = ref_of(document.data, namespaced=True)
        if workload is not None and ref.kind == "DaemonSet":
            pods, wrong, note = _daemons(ref, workload, nodes)
            notes += [note] if note else []
        else:
            pods = list(_replicas(ref, workload)) if workload else []
        rejected += [(document, each) for each in wrong]
        done += [Document(document.path, document.place, pod) for pod in pods]
    return Expanded(tuple(done), tuple(rejected), tuple(notes))


def _read(data: Mapping[str, Any]) -> tuple[_Workload | None, tuple[Rejected, ...]]:
    ref, due = ref_of(data, namespaced=True), WORKLOADS[data["kind"]]
    if data.get("apiVersion") != due:
        return None, (Rejected(ref, "apiVersion", f"must be {due}, not {data.get('apiVersion')!r}"),)
    return read(_Workload, data, ref)


def _daemons(
    ref: ObjectRef, workload: _Workload, nodes: Sequence[Candidate]
) -> tuple[list[dict[str, Any]], tuple[Rejected, ...], str | None]:
    wishes, wrong = suitability.wishes(workload.spec.template.spec, ref, "spec.template.spec")
    if wishes is None:
        return [], wrong, None
    suited = [node for node in nodes if node.misfit(wishes, daemon=True) is None]
    note = None if suited else f"{ref} has no pod: spec.template.{_misfit(wishes, nodes)}"
    template = workload.spec.template.spec
    return [_pod(ref, workload, node.name, _bound_to(node.name, template)) for node in suited], (), note


def _bound_to(node: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    # The scheduler places a DaemonSet's pods, too, on the one node that each is for: a port may be taken there.
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {
        "affinity": {**(spec.get("affinity") or {}), "nodeAffinity": required},
        "tolerations": [*(spec.get("tolerations") or ()), {"operator": "Exists"}],
    }


def _misfit(wishes: Wishes, nodes: Sequence[Candidate]) -> str:
    return suitability.why_nowhere([node.misfit(wishes, daemon=True) for node in nodes])


def _replicas(ref: ObjectRef, workload: _Workload) -> Iterator[dict[str, Any]]:
    spec = workload.spec
    wanted = spec.replicas
    if ref.kind == "Job":
        wanted = 1 if spec.parallelism is None else spec.parallelism
        wanted = wanted if spec.completions is None else min(wanted, spec.completions)
        wanted = 0 if spec.suspend or workload.has_ended else wanted
    first = spec.ordinals.start if ref.kind == "StatefulSet" and spec.ordinals else 0
    for number in range(first, first + (1 if wanted is None else wanted)):
        yield _pod(ref, workload, str(number), {})


def _pod(ref: ObjectRef, workload: _Workload, suffix: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    template, name = workload.spec.template, f"{ref.name}-{suffix}"
    labels = dict(template.metadata.labels)
    if ref.kind == "StatefulSet":
        labels |= {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": suffix}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": ref.namespace,
            "name": name,
            "labels": labels,
            "annotations": template.metadata.annotations,
            "ownerReferences": [
                {"apiVersion": WORKLOADS[ref.kind], "kind": ref.kind, "name": ref.name, "controller": True}
            ],
        },
        "spec": {**template.spec, **spec},
    }
