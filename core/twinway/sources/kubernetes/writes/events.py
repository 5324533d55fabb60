"""
Which Events this node writes, and when: in a whole cluster one for each rejected object and its faults.

Every node sees the same rejected objects. The nodes are ranked, for each object anew, by a hash of
both names. The first few write, each some seconds after the one before it, and the name of the
Event follows from the object and its faults: whoever comes second is answered that it is there
already. A Pod is seen by its own node alone, which writes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from twinway.model.net import ObjectRef, Rejected

WRITERS = 8
"""How many nodes write an Event of one object, in case that the first of them run no agent."""
STEP_SECONDS = 5.0
"""Between a writer and the next one."""
MOST_WAITING = 100
"""Events that wait at one node; further ones are left to the status."""
LONGEST_NAME, LONGEST_NOTE = 253, 1024
"""Source: the validation of events.k8s.io/v1, pkg/apis/core/validation/events.go in Kubernetes 1.36."""
CONTROLLER = "twinway.io/agent"
Faults = tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """An Event to be written, at a moment by the planner's clock."""

    at: float
    ref: ObjectRef
    faults: Faults


class Regarding(NamedTuple):
    """The object that an Event is about."""

    ref: ObjectRef
    version: str
    uid: str


class Planner:
    """The Events that this node still has to write. Not safe between threads."""

    def __init__(self, node: str, own: Callable[[ObjectRef], bool], clock: Callable[[], float]) -> None:
        """`own` says whether a Pod is one of this node."""
        self._node = node
        self._own = own
        self._clock = clock
        self._known: dict[ObjectRef, Faults] = {}
        self._waiting: dict[ObjectRef, Due] = {}

    def note(self, rejected: Iterable[Rejected], nodes: Iterable[str]) -> None:
        """What is rejected now: new faults get an Event, those that are gone are forgotten."""
        faults: dict[ObjectRef, Faults] = {}
        for each in rejected:
            faults[each.ref] = (*faults.get(each.ref, ()), each)
        names = tuple(nodes)
        for ref in self._known.keys() - faults.keys():
            self._waiting.pop(ref, None)
        for ref, now in faults.items():
            if self._known.get(ref) != now:
                self._plan(ref, now, names)
        self._known = faults

    def next(self) -> Due | None:
        """The Event whose moment comes first; None where none waits."""
        return min(self._waiting.values(), key=lambda due: due.at, default=None)

    def done(self, due: Due) -> None:
        """Write this Event no more."""
        if self._waiting.get(due.ref) == due:
            del self._waiting[due.ref]

    def postpone(self, due: Due, seconds: float) -> None:
        """Write this Event later."""
        if self._waiting.get(due.ref) == due:
            self._waiting[due.ref] = Due(self._clock() + seconds, due.ref, due.faults)

    def _plan(self, ref: ObjectRef, faults: Faults, nodes: tuple[str, ...]) -> None:
        self._waiting.pop(ref, None)
        others = rank_of(self._node, nodes, ref) if ref.kind != "Pod" else WRITERS
        rank = 0 if ref.kind == "Pod" and self._own(ref) else others
        if rank < WRITERS and len(self._waiting) < MOST_WAITING:
            self._waiting[ref] = Due(self._clock() + rank * STEP_SECONDS, ref, faults)


def rank_of(node: str, nodes: Iterable[str], ref: ObjectRef) -> int:
    """How many of the nodes come before this one for this object."""
    own = _digest(node, str(ref))
    return sum(_digest(other, str(ref)) < own for other in nodes if other != node)


def event_of(regarding: Regarding, faults: Faults, node: str, now: float) -> Mapping[str, Any]:
    """
    The Event, of `events.k8s.io/v1`; `now` is Unix time.

    Its name is the same on every node, and follows from the object's uid and the faults. Another fault of the
    object is another Event; another revision of the object with the same fault is not.
    """
    ref = regarding.ref
    note = "; ".join(f"{each.field}: {each.reason}" if each.field else each.reason for each in faults)
    mark = _digest(regarding.uid, note)
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{ref.name[: LONGEST_NAME - len(mark) - 1]}.{mark}",
            "namespace": ref.namespace or "default",
        },
        "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning",
        "reason": "Rejected",
        "action": "Decode",
        "note": _cut(note),
        "reportingController": CONTROLLER,
        "reportingInstance": node[:128],
        "regarding": {
            "apiVersion": regarding.version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": regarding.uid,
        },
    }


def _cut(note: str) -> str:
    raw = note.encode()
    if len(raw) <= LONGEST_NOTE:
        return note
    return raw[: LONGEST_NOTE - 3].decode(errors="ignore") + "…"


def _digest(*words: str) -> str:
    return blake2b("\0".join(words).encode(), digest_size=8).hexdigest()
