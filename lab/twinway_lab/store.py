"""What a lab keeps between commands: one JSON file, whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twinway.errors import LabError
from twinway.files import write_whole
from twinway.sources.manifests.parse import Document
from twinway_lab.names import STATE_ROOT, LabName
from twinway_lab.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class LabState:
    """A lab as the last command left it."""

    driver: str
    pod_device: str
    documents: tuple[Document, ...]
    plan: Plan
    config: Mapping[str, Any] = field(default_factory=dict)
    """Keys of each node's config beside those that the lab writes."""
    unsettled: tuple[Plan, ...] = ()
    """Earlier plans of which something may be left, because a command that changed the lab was interrupted."""


def exists(lab: LabName) -> bool:
    """Whether there is anything of this lab's state, complete or not."""
    return lab.state.exists()


def save(lab: LabName, state: LabState) -> None:
    """Write the state."""
    words = {
        "driver": state.driver,
        "pod_device": state.pod_device,
        "config": state.config,
        "documents": [
            {"path": str(each.path), "place": each.place, "data": each.data} for each in state.documents
        ],
        "plan": state.plan.as_json(),
        "unsettled": [plan.as_json() for plan in state.unsettled],
    }
    write_whole(_path(lab), json.dumps(words))


def load(lab: LabName) -> LabState:
    """The state; raises `LabError` where there is no such lab, or none that is complete."""
    try:
        words: dict[str, Any] = json.loads(_path(lab).read_text())
    except FileNotFoundError:
        raise LabError(_missing(lab)) from None
    return LabState(
        driver=words["driver"],
        pod_device=words["pod_device"],
        config=words["config"],
        documents=tuple(Document(Path(each["path"]), each["place"], each["data"]) for each in words["documents"]),
        plan=Plan.of_json(words["plan"]),
        unsettled=tuple(map(Plan.of_json, words["unsettled"])),
    )


def names() -> list[str]:
    """The labs that have state, complete or not."""
    return sorted(path.name for path in STATE_ROOT.glob("*") if path.is_dir())


def _path(lab: LabName) -> Path:
    return lab.state / "lab.json"


def _missing(lab: LabName) -> str:
    if exists(lab):
        return f"lab {lab}: it is not up: `twinway lab down --name {lab}` clears what is left of it"
    known = names()
    there: Sequence[str] = [f"there is {', '.join(known)}"] if known else ["there is none at all"]
    return f"lab {lab}: there is no such lab; {there[0]}: `twinway lab up -f PATH --name {lab}` makes it"
