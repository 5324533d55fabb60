"""What is wrong with a value of the config, in one line of our own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

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
    place = tuple(part for part in error["loc"] if part != "[key]")
    key = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        inside = _model_at(model, place[:-1])
        return f"{key}: unknown key, {nearest(str(place[-1]), sorted(inside.model_fields) if inside else [])}"
    words = _WORDS.get(error["type"])
    message = words(error.get("ctx", {})) if words else error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: {message}"
    shown = repr(error["input"])
    shown = shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"
    return f"{key}: {shown}: {message}"


def _model_at(model: type[BaseModel], place: tuple[int | str, ...]) -> type[BaseModel] | None:
    for part in place:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return None
        model = field.annotation
    return model
