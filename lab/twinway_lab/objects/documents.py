"""The user's manifests as documents: read, identified by name, kept between commands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinway.errors import ManifestError
from twinway.model.net import ObjectRef
from twinway.sources.decode.metadata import ref_of
from twinway.sources.decode.registry import KINDS
from twinway.sources.manifests.listing import SUFFIXES, files_in
from twinway.sources.manifests.parse import Document, parse
from twinway.sources.manifests.reader import content_bytes
from twinway_lab.objects import kinds

_SUFFIX_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """What files and folders hold."""

    documents: tuple[Document, ...]
    """The objects that a lab uses."""
    notes: tuple[str, ...]
    """What a person should know beside: a line each."""


def read(paths: Sequence[Path], namespace: str | None = None) -> Reading:
    """
    The objects in these files and folders; raises `ManifestError`.

    Objects that name no namespace get `namespace`, as with `kubectl -n`.
    """
    found = [document for path in files_in(paths) for document in parse(path, content_bytes(path))]
    used = [document for document in found if not kinds.is_passed_over(document.data)]
    skipped = kinds.counted(str(each.data["kind"]) for each in found if kinds.is_passed_over(each.data))
    notes = [*_empty(paths), *([skipped] if skipped else [])]
    return Reading(tuple(_completed(document, namespace) for document in used), tuple(notes))


def _empty(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        if path.is_dir() and not files_in([path]):
            yield f"{path}: is empty: there is no file *{', *'.join(SUFFIXES)} in it"


def _completed(document: Document, namespace: str | None) -> Document:
    # What an API server writes into the metadata of a new object.
    metadata = document.data.get("metadata")
    if not isinstance(metadata, Mapping):
        return document
    more: dict[str, Any] = {}
    if namespace and _is_namespaced(document) and not metadata.get("namespace"):
        more["namespace"] = namespace
    prefix = metadata.get("generateName")
    if isinstance(prefix, str) and not metadata.get("name"):
        # Of the content, so that the same file means the same object in the next command.
        content = json.dumps(document.data, sort_keys=True, default=str)
        more["name"] = prefix + hashlib.blake2b(content.encode()).hexdigest()[:_SUFFIX_LENGTH]
    if not more:
        return document
    return Document(document.path, document.place, {**document.data, "metadata": {**metadata, **more}})


def _is_namespaced(document: Document) -> bool:
    kind = document.data.get("kind")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    return known is None or known.namespaced


def ref(document: Document) -> ObjectRef:
    """The name of the object in a document."""
    return ref_of(document.data, namespaced=_is_namespaced(document))


def by_name(documents: Iterable[Document]) -> dict[ObjectRef, Document]:
    """The documents by the names of their objects; raises `ManifestError` where two have one name."""
    named: dict[ObjectRef, Document] = {}
    for document in documents:
        first = named.setdefault(ref(document), document)
        if first is not document:
            raise ManifestError(f"{document}: {ref(document)}: metadata.name: is given twice; first in {first}")
    return named
