"""Kubernetes objects as dictionaries, looked into without trusting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]


def section(value: Object, key: str) -> Object:
    """The mapping below `key`; empty where there is none, for a decoder to refuse."""
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}
