"""
Objects that a controller made, in one input with the controller: `kubectl get all -o yaml`.

A controller whose pods are there makes no more; one that another controller owns makes none itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from twinway.model.net import ObjectRef
from twinway.sources.decode.metadata import ref_of
from twinway.sources.manifests.parse import Document
from twinway_lab.objects.raw import Object, section

_HASH = "pod-template-hash"


def at_rest(documents: Sequence[Document], workloads: Collection[str]) -> tuple[Document, ...]:
    """The documents without those workloads whose pods are others' to make, or are there already."""
    present = {ref_of(each.data, namespaced=True): each for each in documents}
    idle: set[ObjectRef] = set()
    for ref, document in present.items():
        if ref.kind == "Pod":
            idle.update(_controllers(document.data, present))
        elif ref.kind in workloads and any(
            owner in present and owner.kind in workloads for owner in _controllers(document.data, present)
        ):
            idle.add(ref)
    return tuple(each for each in documents if ref_of(each.data, namespaced=True) not in idle)


def _controllers(data: Object, present: Mapping[ObjectRef, Document]) -> Iterator[ObjectRef]:
    # The controller, the controller's own, and so on, as far as the input tells.
    seen: set[ObjectRef] = set()
    owner = _controller(data)
    while owner is not None and owner not in seen:
        seen.add(owner)
        yield owner
        found = present.get(owner)
        owner = _controller(found.data) if found else _deployment_of(owner, data)


def _controller(data: Object) -> ObjectRef | None:
    # By kind and name alone: uids of an input that was edited, or put together, need not fit.
    references = section(data, "metadata").get("ownerReferences")
    namespace = ref_of(data, namespaced=True).namespace
    for each in references if isinstance(references, list) else ():
        if not isinstance(each, Mapping) or each.get("controller") is not True:
            continue
        return ObjectRef(str(each.get("kind")), namespace, str(each.get("name")))
    return None


def _deployment_of(owner: ObjectRef, data: Object) -> ObjectRef | None:
    # `kubectl get deployments,pods` leaves out the ReplicaSet between them, whose name tells.
    digest = section(section(data, "metadata"), "labels").get(_HASH)
    if owner.kind != "ReplicaSet" or not isinstance(digest, str) or not owner.name.endswith(f"-{digest}"):
        return None
    return ObjectRef("Deployment", owner.namespace, owner.name.removesuffix(f"-{digest}"))
