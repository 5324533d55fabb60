"""Objects as the server sends them: their keys, and the parts of them that nothing reads."""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import Any

from twinway.sources.kubernetes.failures import GarbledError


def key_of(document: Mapping[str, Any]) -> str:
    """What names an object among those of its kind; raises `GarbledError` where it has no name."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(name, str):
        raise GarbledError("an object has no name")
    return f"{metadata.get('namespace') or ''}/{name}"


def slim(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    The object without what is costly to check and read by nobody.

    Annotations of pods may be large. Labels of many pods are equal: their texts are kept once.
    """
    if document.get("kind") != "Pod":
        return document
    metadata = {key: value for key, value in document["metadata"].items() if key != "annotations"}
    if isinstance(labels := metadata.get("labels"), Mapping):
        metadata["labels"] = {intern(key): _interned(value) for key, value in labels.items()}
    return {**document, "metadata": metadata}


def _interned(value: object) -> object:
    return intern(value) if isinstance(value, str) else value
