"""The manifest that the agents watch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from twinway.files import write_whole
from twinway.model.net import ObjectRef
from twinway.sources.decode.pod import FINISHED
from twinway_lab.names import LabName
from twinway_lab.objects.raw import Object, section


def publish(lab: LabName, objects: Sequence[Object]) -> str:
    """The version that the agents will have in force; the file is written only where something changed."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    path = _path(lab)
    if not path.exists() or path.read_text() != text:
        write_whole(path, text)
    return version(lab)


def version(lab: LabName) -> str:
    """The version of what is published."""
    from twinway.sources.manifests.source import version_of

    return version_of([lab.manifests()])


def services(lab: LabName) -> dict[ObjectRef, Object]:
    """The published Services, by name."""
    return {_ref(each): each for each in _items(lab) if each["kind"] == "Service"}


def pending(lab: LabName) -> list[str]:
    """The pods that no node suits, as `namespace/name`."""
    pods = (each for each in _items(lab) if each["kind"] == "Pod" and not each["spec"].get("nodeName"))
    live = (each for each in pods if each["status"].get("phase") not in FINISHED)
    return [f"{ref.namespace}/{ref.name}" for ref in map(_ref, live)]


def cluster_ips(service: Object) -> list[str]:
    """The addresses of a published Service; none for a headless one."""
    spec = section(service, "spec")
    listed = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [address for address in listed if address and address != "None"]


def _items(lab: LabName) -> list[Object]:
    items: list[Object] = json.loads(_path(lab).read_text())["items"] if _path(lab).exists() else []
    return items


def _ref(item: Object) -> ObjectRef:
    metadata = item["metadata"]
    return ObjectRef(item["kind"], metadata.get("namespace") or "default", metadata["name"])


def _path(lab: LabName) -> Path:
    return lab.manifests() / "objects.json"
