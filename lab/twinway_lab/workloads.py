"""Workloads into pods: what the controllers of a real cluster do, at rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from twinway.model.cluster import Node
from twinway.model.net import ObjectRef, Rejected
from twinway.sources.fields import Labels, Schema, read
from twinway.sources.metadata import Annotations, ObjectSchema, ref_of
from twinway.sources.parse import Document

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


class _Spec(Schema):
    replicas: _Count | None = None
    parallelism: _Count | None = None
    template: _Template


class _Workload(ObjectSchema):
    spec: _Spec


class Expanded(NamedTuple):
    """Documents without workloads, and what is wrong with those that could not become pods."""

    documents: tuple[Document, ...]
    rejected: tuple[tuple[Document, Rejected], ...]


def expanded(documents: Sequence[Document], nodes: Sequence[Node]) -> Expanded:
    """
    Every workload replaced by its pods, named `NAME-0` and so on; all else as it was.

    A DaemonSet has one pod on each of `nodes` with the labels it asks for, named `NAME-NODE`.
    """
    done: list[Document] = []
    rejected: list[tuple[Document, Rejected]] = []
    for document in documents:
        if document.data.get("kind") not in WORKLOADS:
            done.append(document)
            continue
        workload, wrong = _read(document.data)
        rejected += [(document, each) for each in wrong]
        if workload is not None:
            pods = _pods(document.data, workload, nodes)
            done += [Document(document.path, document.place, pod) for pod in pods]
    return Expanded(tuple(done), tuple(rejected))


def _read(data: Mapping[str, Any]) -> tuple[_Workload | None, tuple[Rejected, ...]]:
    ref, due = ref_of(data, namespaced=True), WORKLOADS[data["kind"]]
    if data.get("apiVersion") != due:
        return None, (Rejected(ref, "apiVersion", f"must be {due}, not {data.get('apiVersion')!r}"),)
    return read(_Workload, data, ref)


def _pods(data: Mapping[str, Any], workload: _Workload, nodes: Sequence[Node]) -> Iterator[dict[str, Any]]:
    ref = ref_of(data, namespaced=True)
    if ref.kind == "DaemonSet":
        selector = workload.spec.template.spec.get("nodeSelector") or {}
        for node in nodes:
            if selector.items() <= node.labels.items():
                yield _pod(ref, workload, node.ref.name, {"nodeName": node.ref.name})
        return
    spec = workload.spec
    wanted = spec.parallelism if ref.kind == "Job" else spec.replicas
    for number in range(1 if wanted is None else wanted):
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
            "ownerReferences": [{"apiVersion": WORKLOADS[ref.kind], "kind": ref.kind, "name": ref.name}],
        },
        "spec": {**template.spec, **spec},
    }
