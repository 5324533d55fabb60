"""What every Kubernetes object has: kind, API version, name, namespace, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from twinway.model.net import ObjectRef
from twinway.sources.decode.fields import BLANK, DnsLabel, DnsName, Labels, Schema, printable

DEFAULT_NAMESPACE = "default"
PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
TOPOLOGY_MODE = "service.kubernetes.io/topology-mode"
TOPOLOGY_HINTS = "service.kubernetes.io/topology-aware-hints"
"""The earlier name of `TOPOLOGY_MODE`, which goes before it."""
NAMELESS = "?"
"""Stands for a name that an object does not say."""

# Annotations may hold any text, null is the empty one; their keys are the API server's business.
_Annotation = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Annotations = Annotated[dict[str, _Annotation], BeforeValidator(lambda value: {} if value is None else value)]


class Metadata(Schema):
    """`metadata` of most objects: the name is a DNS name, the namespace a DNS label."""

    name: DnsName
    namespace: Annotated[DnsLabel | None, BLANK] = None
    uid: str | None = None
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    deletion_timestamp: Annotated[str | None, BLANK] = None


class ObjectSchema(Schema):
    """An object of which only the metadata matters; base of those that have more."""

    metadata: Metadata


def left_to_others(labels: Mapping[str, str]) -> bool:
    """
    Whether labels of a Service or an EndpointSlice leave the object to another proxy than this one.

    Source: KEP-2447; cmd/kube-proxy/app/server.go. Newer kube-proxies do not look for `headless` on
    Services, which bear it only where somebody wants them to be left alone.
    """
    return PROXY_NAME in labels or HEADLESS_LABEL in labels


def topology_auto(annotations: Mapping[str, str]) -> bool:
    """
    Whether annotations of a Service ask the controller for hints.

    Source: KEP-2433; k8s.io/endpointslice, hintsEnabled.
    """
    return annotations.get(TOPOLOGY_HINTS, annotations.get(TOPOLOGY_MODE)) in ("Auto", "auto")


def ref_of(document: Mapping[str, Any], *, namespaced: bool) -> ObjectRef:
    """
    The name of an object; a part that is missing or no string is `?`.

    A namespaced object without a namespace is in `default`; a cluster-wide one has none.
    """
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    namespace = _word(metadata.get("namespace") or DEFAULT_NAMESPACE) if namespaced else ""
    return ObjectRef(_word(document.get("kind")), namespace, _word(metadata.get("name")))


def _word(value: object) -> str:
    return printable(value) if isinstance(value, str) and value else NAMELESS
