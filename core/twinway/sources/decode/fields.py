"""
The edge: Kubernetes dictionaries into checked schemas, and what is wrong with them into `Rejected`.

A schema is a pydantic model with the API's own field names (`camelCase` made from `snake_case`).
`null` counts as absent where a field may be absent. A decoder reads its object with `read`, checks
what spans several fields itself, and answers with a value or with the reasons why there is none:

    spec, rejected = read(ServiceSchema, doc, ref)
    spec, rejected = read(RuleSchema, doc["spec"]["ingress"][0], ref, at="spec.ingress[0]")

Texts are checked in `text`, selectors in `selectors`, names and labels of objects in `metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from twinway.model.net import IPAddress, IPNetwork, ObjectRef, Protocol, Rejected
from twinway.sources.decode import text

FIRST_PORT, LAST_PORT = 1, 65535
SHOWN = 60
"""Characters of a wrong value that a reason repeats."""


class Schema(BaseModel):
    """Base of schemas that ignore fields they do not know, as most of the API's hundreds are."""

    model_config = ConfigDict(extra="ignore", strict=True, alias_generator=to_camel)


class ClosedSchema(Schema):
    """Base of schemas that refuse unknown fields: where a misspelt one would change the meaning."""

    model_config = ConfigDict(extra="forbid")


S = TypeVar("S", bound=BaseModel)


def read(
    schema: type[S], document: object, ref: ObjectRef, *, at: str = ""
) -> tuple[S | None, tuple[Rejected, ...]]:
    """
    `document` as `schema`, or None and one `Rejected` for each field that is wrong.

    `at` is where the document stands in its object, and goes before every field's path.
    """
    try:
        return schema.model_validate(document), ()
    except ValidationError as error:
        return None, tuple(_rejected(detail, schema, ref, at) for detail in error.errors(include_url=False))


def field_path(location: Sequence[str | int], at: str = "") -> str:
    """A location as `kubectl explain` spells it: `spec.ports[0].port`, `metadata.labels[app/x]`."""
    path = at
    for part in location:
        if isinstance(part, int) or not re.fullmatch(r"\w+", part):
            path += f"[{printable(part) if isinstance(part, str) else part}]"
        else:
            path += f".{part}" if path else part
    return path or "object"


def printable(name: str) -> str:
    """A name that somebody else chose, as it can stand in a line: escaped, and no longer than names are."""
    return (name if name.isprintable() else repr(name)[1:-1])[: text.NAME_LIMIT]


def shown(value: object) -> str:
    """A wrong value as a reason shows it: quoted, and not longer than people read."""
    whole = repr(value)
    return whole if len(whole) <= SHOWN else f"{whole[:SHOWN]}…"


def _rejected(detail: ErrorDetails, schema: type[BaseModel], ref: ObjectRef, at: str) -> Rejected:
    location = [part for part in detail["loc"] if part != "[key]"]
    return Rejected(ref, field_path(location, at), _reason(detail, schema))


_KINDS = {
    "int_type": "a whole number",
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _reason(detail: ErrorDetails, schema: type[BaseModel]) -> str:
    kind, value = detail["type"], detail["input"]
    if value is None:
        return "is required"
    match kind:
        case "missing":
            return "is required"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "extra_forbidden":
            return f"is not a field that is known here{_nearest(str(detail['loc'][-1]), schema)}"
        case _ if kind in _KINDS:
            return f"must be {_KINDS[kind]}, not {shown(value)}"
        case _:
            return f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, not {shown(value)}"


def _nearest(name: str, schema: type[BaseModel]) -> str:
    close = get_close_matches(name, sorted(_field_names(schema, set())), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _field_names(schema: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    # The location does not say which model refused the field, so all below `schema` may be meant.
    seen.add(schema)
    names = {to_camel(name) for name in schema.model_fields}
    for field in schema.model_fields.values():
        for inner in _models_in(field.annotation):
            if inner not in seen:
                names |= _field_names(inner, seen)
    return names


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


# -- types of single fields ------------------------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {shown(value)}")  # noqa: TRY004 (pydantic wants ValueError)
    return value


def _port(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and FIRST_PORT <= value <= LAST_PORT:
        return value
    raise ValueError(f"must be a port number, {FIRST_PORT} to {LAST_PORT}, not {shown(value)}")


def _port_or_name(value: object) -> int | str:
    return text.port_name(value) if isinstance(value, str) else _port(value)


def _tuple(value: object) -> object:
    # Strict models take no list for a tuple; and the API's JSON writes null for an absent list.
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else value


BLANK = BeforeValidator(lambda value: None if value == "" else value)
"""For a field whose default the API server fills in: templates leave it empty, which is absent."""
Port = Annotated[int, PlainValidator(_port)]
"""A port number, 1 to 65535."""
PortOrName = Annotated[int | str, PlainValidator(_port_or_name)]
"""A port number, or the name of a container's port."""
PortName = Annotated[str, PlainValidator(lambda value: text.port_name(_text(value)))]
"""A name as container ports have."""
ProtocolName = Annotated[Protocol, PlainValidator(lambda value: text.protocol(_text(value)))]
"""TCP, UDP or SCTP."""
Address = Annotated[IPAddress, PlainValidator(lambda value: text.address(_text(value)))]
"""An IPv4 or IPv6 address."""
Prefix = Annotated[IPNetwork, PlainValidator(lambda value: text.prefix(_text(value)))]
"""An address block."""
DnsLabel = Annotated[str, PlainValidator(lambda value: text.dns_label(_text(value)))]
"""A DNS label: namespaces, port names of Services."""
DnsName = Annotated[str, PlainValidator(lambda value: text.dns_name(_text(value)))]
"""A DNS name: most objects, nodes among them."""
LabelKey = Annotated[str, PlainValidator(lambda value: text.label_key(_text(value)))]
"""A label's key."""
LabelValue = Annotated[str, PlainValidator(lambda value: "" if value is None else text.label_value(_text(value)))]
"""A label's value; null is the empty one, as for the API server."""


T = TypeVar("T")

ListOf = Annotated[tuple[T, ...], BeforeValidator(_tuple)]
"""A list that may be null, as a tuple; say `= ()` where it may be absent."""
Labels = Annotated[dict[LabelKey, LabelValue], BeforeValidator(lambda value: {} if value is None else value)]
"""Labels; null is none at all."""
