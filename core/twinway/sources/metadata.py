"""What every Kubernetes object has: kind, API version, name, namespace, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from twinway.model.net import ObjectRef
from twinway.sources.fields import DnsLabel, DnsName, Labels, Schema, printable

DEFAULT_NAMESPACE = "default"
NAMELESS = "?"
"""Stands for a name that an object does not say."""

# Annotations may hold any text; their keys are the API server's business.
Annotations = Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)]


class Metadata(Schema):
    """`metadata` of most objects: the name is a DNS name, the namespace a DNS label."""

    name: DnsName
    namespace: Annotated[DnsLabel | None, BeforeValidator(lambda value: value or None)] = None
    uid: str = ""
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    deletion_timestamp: str | None = None


class ObjectSchema(Schema):
    """An object of which only the metadata matters; base of those that have more."""

    metadata: Metadata


def ref_of(document: Mapping[str, Any], *, namespaced: bool) -> ObjectRef:
    """
    The name of an object, as well as it can be told: what is missing or no string is `?`.

    A namespaced object without a namespace is in `default`; a cluster-wide one has none.
    """
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    namespace = _word(metadata.get("namespace") or DEFAULT_NAMESPACE) if namespaced else ""
    return ObjectRef(_word(document.get("kind")), namespace, _word(metadata.get("name")))


def _word(value: object) -> str:
    return printable(value) if isinstance(value, str) and value else NAMELESS
