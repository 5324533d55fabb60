"""
What policies of every kind are made of, read part by part: one bad part must not hide the others.

A policy is no all-or-nothing object: dropping it because of a typing mistake would open the pods it
is there to close. So its parts are read one by one, what cannot be read is kept in mind as
`Rejected`, and the decoders take it in the sense that allows least.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, Field, model_validator

from twinway.model.net import ObjectRef, Rejected
from twinway.model.policy import Selector
from twinway.sources.decode.fields import ClosedSchema, ListOf, Prefix, read, shown
from twinway.sources.decode.metadata import NAMELESS, ObjectSchema
from twinway.sources.decode.policy.selectors import SelectorSchema

SELECTOR_TERMS = 1024
"""Labels and values that one selector may name; the API sets no limit but the size of an object."""

S = TypeVar("S", bound=BaseModel)


class Reading:
    """Reads the parts of one object and collects in `rejected` what is wrong with them."""

    def __init__(self, ref: ObjectRef) -> None:
        """`ref` is the object that the parts belong to."""
        self.ref = ref
        self.rejected: list[Rejected] = []

    def refuse(self, at: str, reason: str) -> None:
        """Say that the field `at` cannot be used."""
        self.rejected.append(Rejected(self.ref, at, reason))

    def read(self, schema: type[S], document: object, at: str) -> S | None:
        """The part as `schema`, None where it is wrong."""
        found, rejected = read(schema, document, self.ref, at=at)
        self.rejected += rejected
        return found

    def metadata(self, document: Mapping[str, Any]) -> bool:
        """Whether the object has a usable name; other mistakes in `metadata` do it no harm."""
        self.read(ObjectSchema, document, "")
        return NAMELESS not in (self.ref.namespace, self.ref.name)

    def mapping(self, document: object, at: str) -> Mapping[str, Any] | None:
        """The part as a mapping, None where it is something else."""
        if isinstance(document, Mapping):
            return document
        self.refuse(at, "is required" if document is None else f"must be a mapping, not {shown(document)}")
        return None

    def items(self, document: object, at: str) -> list[Any] | None:
        """The part as a list, empty where it is absent, None where it is something else."""
        if document is None:
            return []
        if isinstance(document, list):
            return document
        self.refuse(at, f"must be a list, not {shown(document)}")
        return None

    def selector(self, document: object, at: str) -> Selector | None:
        """The part as a label selector, None where it is wrong or enormous."""
        terms = _terms(document)
        if terms > SELECTOR_TERMS:
            self.refuse(at, f"names {terms} labels and values; {SELECTOR_TERMS} at most can be used")
            return None
        schema = self.read(SelectorSchema, document, at)
        return schema.value() if schema else None


class BlockSchema(ClosedSchema):
    """`ipBlock`. Source: ValidateIPBlock in kubernetes pkg/apis/networking/validation."""

    cidr: Prefix
    excepted: ListOf[Prefix] = Field((), alias="except")

    @model_validator(mode="after")
    def _inside(self) -> BlockSchema:
        for each in self.excepted:
            same_family = each.version == self.cidr.version
            if not same_family or each == self.cidr or not each.subnet_of(self.cidr):  # type: ignore[arg-type]
                raise ValueError(f"except must lie strictly inside {self.cidr}, which {each} does not")
        return self


def _terms(document: object) -> int:
    # Counted before anything is checked: a check costs more than a glance.
    if not isinstance(document, Mapping):
        return 0
    labels, expressions = document.get("matchLabels"), document.get("matchExpressions")
    terms = len(labels) if isinstance(labels, Mapping) else 0
    for each in expressions if isinstance(expressions, list) else ():
        values = each.get("values") if isinstance(each, Mapping) else None
        terms += max(1, len(values)) if isinstance(values, list) else 1
    return terms
