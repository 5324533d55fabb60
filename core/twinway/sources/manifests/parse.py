"""Files of Kubernetes manifests into documents: YAML or JSON, several in one, and `List` kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinway.errors import ManifestError


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file, still a dictionary."""

    path: Path
    place: str
    """Where in the file: `document 2`, `document 1, item 3`."""
    data: Mapping[str, Any]

    def __str__(self) -> str:
        """File and place, for messages."""
        return f"{self.path}: {self.place}"


def parse(path: Path, content: bytes) -> tuple[Document, ...]:
    """
    The objects of a file; by its name it is JSON (`.json`) or YAML.

    Raises `ManifestError` naming file, line or document. Empty documents are passed over.
    """
    try:
        text = content.decode("utf-8-sig")  # Windows' editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: byte {error.start}: not UTF-8 text") from error
    try:
        whole = list(_json(path, text) if path.suffix == ".json" else _yaml(path, text))
    except RecursionError as error:
        raise ManifestError(f"{path}: nested too deeply") from error
    return tuple(
        document
        for number, data in enumerate(whole, start=1)
        if data is not None
        for document in _objects(path, f"document {number}", data)
    )


def _json(path: Path, text: str) -> Iterator[Any]:
    try:
        yield json.loads(text) if text.strip() else None
    except json.JSONDecodeError as error:
        raise ManifestError(f"{path}:{error.lineno}: {error.msg[:1].lower()}{error.msg[1:]}") from error
    except ValueError as error:  # a number of thousands of digits
        raise ManifestError(f"{path}: {error}") from error


def _yaml(path: Path, text: str) -> Iterator[Any]:
    from twinway.sources.manifests.yaml_loader import documents

    return documents(path, text)


def _objects(path: Path, place: str, data: object) -> Iterator[Document]:
    document = _document(path, place, data)
    kind = document.data.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List"):
        yield document
        return
    if kind != "List" and "items" not in document.data:
        yield document  # somebody's own kind happens to end so
        return
    items = document.data.get("items", "nothing")
    items = [] if items is None else items  # as Go writes a list that nobody made
    if not isinstance(items, list):
        raise ManifestError(f"{document}: items: must be a list of objects")
    for number, item in enumerate(items, start=1):
        yield _item(document, kind.removesuffix("List"), f"{place}, item {number}", item)


def _item(whole: Document, kind: str, place: str, data: object) -> Document:
    item = _document(whole.path, place, data)
    if not kind or "kind" in item.data:
        return item
    # Items of a `ServiceList`, as an API server answers it, do not repeat what they are.
    return Document(item.path, place, {"apiVersion": whole.data.get("apiVersion"), "kind": kind, **item.data})


def _document(path: Path, place: str, data: object) -> Document:
    if not isinstance(data, Mapping):
        raise ManifestError(f"{path}: {place}: must be an object with apiVersion, kind and metadata")
    return Document(path, place, data)
