"""Labels that a kubelet gives its Node, and that files of the world select nodes by."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from twinway.sources.manifests.parse import Document
from twinway_lab.objects.raw import Object, section

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def well_known(name: str) -> dict[str, str]:
    """
    The labels of the node of this name.

    Source: kubernetes.io/docs/reference/node/node-labels, the `beta` ones included: kubelets still set them.
    """
    machine = platform.machine()
    architecture = _ARCHITECTURES.get(machine, machine)
    return {
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/hostname": name,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": architecture,
    }


def bare(name: str) -> dict[str, Any]:
    """A Node that nobody wrote."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": well_known(name)}}


def labelled(document: Document) -> Document:
    """The Node with its well-known labels; what it says itself counts."""
    metadata = section(document.data, "metadata")
    name, said = metadata.get("name"), metadata.get("labels") or {}
    if not isinstance(name, str) or not isinstance(said, Mapping):
        return document  # a decoder has to refuse it
    node: Object = {**document.data, "metadata": {**metadata, "labels": {**well_known(name), **said}}}
    return Document(document.path, document.place, node)
