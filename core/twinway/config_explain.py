"""Every key of the node's config, with its value, where that came from, and what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Explained:
    """One key: `origin` is "file" or "default"."""

    key: str
    value: Any
    origin: str
    doc: str


def explain(config: BaseModel, prefix: str = "") -> Iterator[Explained]:
    """Each key below `config`, in the order of its definition; sections are opened."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from explain(value, f"{prefix}{name}.")
            continue
        origin = "file" if name in config.model_fields_set else "default"
        yield Explained(f"{prefix}{name}", _plain(value), origin, field.description or "")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
