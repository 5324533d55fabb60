"""Labels of a namespace, as selectors see them."""

from __future__ import annotations

from collections.abc import Mapping

from twinway.model.cluster import Namespace
from twinway.model.net import ObjectRef

NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that the API server gives every namespace."""


def namespace_labels(namespaces: Mapping[ObjectRef, Namespace], name: str) -> Mapping[str, str]:
    """The labels of a namespace; of one that is not known, its name alone."""
    namespace = namespaces.get(ObjectRef("Namespace", "", name))
    return namespace.labels if namespace else {NAME_LABEL: name}
