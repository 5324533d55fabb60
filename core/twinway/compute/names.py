"""The order of names."""

from __future__ import annotations

from twinway.model.net import ObjectRef


def by_name(ref: ObjectRef) -> tuple[str, str, str]:
    """The key that sorts as `ObjectRef` itself does, but without a call for each comparison."""
    return ref.kind, ref.namespace, ref.name
