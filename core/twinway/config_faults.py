"""What is wrong with a value of the config, in one line of our own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, Tag

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

LONGEST_VALUE = 60
Context = Mapping[str, Any]

_WORDS: Mapping[str, Callable[[Context], str]] = {
    "missing": lambda _: "is missing",
    "string_type": lambda _: "must be text",
    "string_too_short": lambda _: "must not be empty",
    "too_short": lambda _: "must not be empty",
    "path_type": lambda _: "must be a path",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "is too large",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "greater_than": lambda context: f"must be more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
    "literal_error": lambda context: f"must be {context['expected']}",
    "tuple_type": lambda _: "must be a list",
    "list_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be a section: `key: value` lines",
    "mapping_type": lambda _: "must be a section: `key: value` lines",
    "model_type": lambda _: "must be a section: `key: value` lines",
    "model_attributes_type": lambda _: "must be a section: `key: value` lines",
    "invalid_key": lambda _: "the key must be text: put it in quotes",
}


def faults_of(model: type[BaseModel], errors: list[ErrorDetails], origin: str, prefix: str = "") -> list[str]:
    """A line for each error. `origin` is the file; keys stand below `prefix`."""
    return [f"{origin}: {prefix}{_fault(model, error)}" for error in errors]


def nearest(word: str, known: list[str]) -> str:
    """Which of the known words was meant, or which there are."""
    if found := get_close_matches(word, known, n=1):
        return f"did you mean {found[0]}?"
    return f"known here: {', '.join(sorted(known))}" if known else "no keys are known here"


def _fault(model: type[BaseModel], error: ErrorDetails) -> str:
    place, inside = _place(model, tuple(part for part in error["loc"] if part != "[key]"))
    key = ".".join(place)
    context, given = error.get("ctx", {}), error["input"]
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key, {nearest(place[-1], sorted(inside.model_fields) if inside else [])}"
    if error["type"] == "union_tag_invalid":
        # A section of several kinds, by its key `kind`.
        return f"{key}.kind: {context['tag']!r}: must be {context['expected_tags'].replace(', ', ' or ')}"
    words = _WORDS.get(error["type"])
    message = words(context) if words else error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: {message}"
    shown = repr(given)
    shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"
    return f"{key}: {shown}: {message}"


def _place(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel] | None]:
    """The key's parts as the file has them, and the model of the section that the last one stands in."""
    parts: list[str] = []
    inside: type[BaseModel] | None = None
    below: Mapping[str, type[BaseModel]] | type[BaseModel] | None = model
    for each in location:
        part = str(each)
        if isinstance(below, Mapping):
            # The kind of a section stands in the location, and is no key above the section's own.
            below = below.get(part)
            continue
        if isinstance(each, int):
            parts.append(part)  # an item of a list of sections, and no key of the section
            continue
        parts.append(part)
        inside = below
        field = below.model_fields.get(part) if below else None
        below = _below(field.annotation) if field else None
    return parts, inside


def _below(annotation: Any) -> Mapping[str, type[BaseModel]] | type[BaseModel] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) is tuple:
        return _below(get_args(annotation)[0])
    kinds = {
        mark.tag: get_args(member)[0]
        for member in get_args(annotation)
        for mark in getattr(member, "__metadata__", ())
        if isinstance(mark, Tag)
    }
    return kinds or None
