"""Namespace and Node: where things are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from twinway.model.cluster import Namespace, Node
from twinway.model.net import IPAddress, ObjectRef, Rejected
from twinway.sources.decode import text
from twinway.sources.decode.fields import BLANK, DnsLabel, ListOf, Prefix, Schema, field_path, read
from twinway.sources.decode.metadata import Metadata, ObjectSchema, ref_of

_OWN = frozenset({"InternalIP", "ExternalIP"})


class _NamespaceMetadata(Metadata):
    name: DnsLabel


class _Namespace(Schema):
    metadata: _NamespaceMetadata


class _NodeAddress(Schema):
    type: str
    address: str


class _NodeStatus(Schema):
    addresses: ListOf[_NodeAddress] = ()


class _NodeSpec(Schema):
    pod_cidr: Annotated[Prefix | None, BLANK] = Field(None, alias="podCIDR")
    pod_cidrs: ListOf[Prefix] = Field((), alias="podCIDRs")


class _Node(ObjectSchema):
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None


def decode_namespace(document: Mapping[str, Any]) -> tuple[Namespace | None, tuple[Rejected, ...]]:
    """The namespace, or what is wrong with it."""
    ref = ref_of(document, namespaced=False)
    schema, rejected = read(_Namespace, document, ref)
    if schema is None:
        return None, rejected
    # The API server gives every namespace this label; what is written by hand may lack it.
    labels = {**schema.metadata.labels, "kubernetes.io/metadata.name": ref.name}
    return Namespace(ref, MappingProxyType(labels)), ()


def decode_node(document: Mapping[str, Any]) -> tuple[Node | None, tuple[Rejected, ...]]:
    """The node, or what is wrong with it; host names among its addresses are left out."""
    ref = ref_of(document, namespaced=False)
    schema, rejected = read(_Node, document, ref)
    if schema is None:
        return None, rejected
    addresses, rejected = _addresses(schema.status, ref)
    if rejected:
        return None, rejected
    spec = schema.spec or _NodeSpec()
    cidrs = spec.pod_cidrs or ((spec.pod_cidr,) if spec.pod_cidr else ())
    return Node(ref, MappingProxyType(schema.metadata.labels), addresses, cidrs), ()


def _addresses(status: _NodeStatus | None, ref: ObjectRef) -> tuple[tuple[IPAddress, ...], tuple[Rejected, ...]]:
    found: dict[IPAddress, None] = {}
    rejected: list[Rejected] = []
    for index, each in enumerate(status.addresses if status else ()):
        if each.type not in _OWN:
            continue
        try:
            found[text.address(each.address)] = None
        except ValueError as error:
            rejected.append(Rejected(ref, field_path(("status", "addresses", index, "address")), str(error)))
    return tuple(found), tuple(rejected)
