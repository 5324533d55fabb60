"""The user's manifests as documents: read, told apart by name, kept between commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from twinway.errors import ManifestError
from twinway.model.net import ObjectRef
from twinway.sources.decode import KINDS
from twinway.sources.listing import files_in
from twinway.sources.metadata import ref_of
from twinway.sources.parse import Document, parse
from twinway.sources.reader import content_bytes

NOT_NETWORK = frozenset(
    {
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "CronJob",
        "CustomResourceDefinition",
        "HorizontalPodAutoscaler",
        "Ingress",
        "IngressClass",
        "LimitRange",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "PriorityClass",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Secret",
        "ServiceAccount",
        "StorageClass",
    }
)
"""Kinds of ordinary manifests that do not change what a lab does: passed over."""


def read(paths: Iterable[Path]) -> tuple[Document, ...]:
    """The objects in these files and folders that a lab can use; raises `ManifestError`."""
    documents = [document for path in files_in(paths) for document in parse(path, content_bytes(path))]
    return tuple(document for document in documents if document.data.get("kind") not in NOT_NETWORK)


def ref(document: Document) -> ObjectRef:
    """The name of the object in a document."""
    kind = document.data.get("kind")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    return ref_of(document.data, namespaced=known is None or known.namespaced)


def by_name(documents: Iterable[Document]) -> dict[ObjectRef, Document]:
    """The documents by the names of their objects; raises `ManifestError` where two have one name."""
    named: dict[ObjectRef, Document] = {}
    for document in documents:
        first = named.setdefault(ref(document), document)
        if first is not document:
            raise ManifestError(f"{document}: {ref(document)}: metadata.name: is given twice; first in {first}")
    return named
