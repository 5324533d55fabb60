"""What a change of objects came to, in one line for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from twinway.model.net import ObjectRef
from twinway.sources.manifests.parse import Document
from twinway_lab.objects.kinds import number_of

Named = Mapping[ObjectRef, Document]


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended well: its one line, and what a person should know beside."""

    line: str
    notes: Sequence[str] = ()


def applied(before: Named, given: Named, nodes: int) -> str:
    """After `apply`."""
    if not given:
        return "nothing to apply: there is no object that the lab uses"
    return f"applied {number_of(len(given), 'object')} ({_told(before, given)}): in force on {_nodes(nodes)}"


def deleted(before: Named, given: Iterable[ObjectRef], nodes: int) -> str:
    """After `delete`."""
    names = list(given)
    there = sum(ref in before for ref in names)
    if not names:
        return "nothing to delete: there is no object that the lab uses"
    absent = f"{number_of(len(names) - there, 'object')} not in the lab"
    if not there:
        return f"nothing to delete: {absent}"
    beside = f" ({absent})" if there < len(names) else ""
    return f"deleted {number_of(there, 'object')}{beside}: in force on {_nodes(nodes)}"


def synced(before: Named, given: Named, nodes: int) -> str:
    """After `sync`."""
    gone = sum(ref not in given for ref in before)
    counts = f"{_told(before, given)}, {gone} deleted"
    these = "this" if len(given) == 1 else "these"
    return f"the lab holds {these} {number_of(len(given), 'object')} ({counts}): in force on {_nodes(nodes)}"


def _told(before: Named, given: Named) -> str:
    new = sum(ref not in before for ref in given)
    same = sum(ref in before and before[ref].data == each.data for ref, each in given.items())
    return f"{new} new, {len(given) - new - same} changed, {same} unchanged"


def _nodes(count: int) -> str:
    return number_of(count, "node")
