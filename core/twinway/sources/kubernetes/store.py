"""
What the server said, decoded, and the snapshots that are made of it.

An object whose value is what it was changes nothing: no snapshot is made of it, and the value in the
next one is the same object. So a node's heartbeat, a pod whose readiness changes, and a slice that
is written again with equal content cost the decoding alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from threading import Lock
from typing import Any, NamedTuple

from twinway.model.cluster import Cluster, Pod
from twinway.model.net import ObjectRef, Rejected
from twinway.sources.decode.registry import Value, changed, decode_object
from twinway.sources.kubernetes.demand import asks_for_pods
from twinway.sources.kubernetes.raw import key_of, slim
from twinway.sources.kubernetes.revision import revision_of


class Entry(NamedTuple):
    """One object: its value, if it can be used, and what is wrong with it."""

    value: Value | None
    rejected: tuple[Rejected, ...]


_NOTHING = Entry(None, ())


class Part:
    """The objects of one kind: what its reflector puts into."""

    def __init__(self, store: Store) -> None:
        """Nothing is known, and nothing has been listed."""
        self._store = store
        self.entries: dict[str, Entry] = {}
        self._listed: dict[str, Entry] | None = None
        self.same_kind: tuple[Part, ...] = (self,)
        """The parts of one kind; of an object that two of them have the first one's counts."""
        self.ready = False
        """Whether the kind has been listed once."""

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """What is wrong with objects of this kind."""
        return tuple(chain.from_iterable(entry.rejected for entry in self.entries.values()))

    def holds(self, ref: ObjectRef) -> bool:
        """Whether this has the object, whatever is wrong with it."""
        return f"{ref.namespace}/{ref.name}" in self.entries

    def begin(self) -> None:
        """Begin a list; see `Sink`."""
        self._listed = {}

    def put(self, document: Mapping[str, Any]) -> None:
        """Take an object as it is now."""
        key = key_of(document)
        entry = self._decoded(key, document)
        if self._listed is not None:
            self._listed[key] = entry
        else:
            self._store.note(self, key, entry)
        self._store.saw(document)

    def remove(self, document: Mapping[str, Any]) -> None:
        """Forget an object."""
        key = key_of(document)
        if self._listed is not None:
            self._listed.pop(key, None)
        else:
            self._store.note(self, key, _NOTHING)
        self._store.saw(document)

    def commit(self) -> None:
        """Make the list count."""
        listed, self._listed = self._listed or {}, None
        self._store.replace(self, listed)

    def clear(self) -> None:
        """The cluster does not have this kind: no object is left, and none is to be listed."""
        self.begin()
        self.commit()

    def value(self, key: str) -> Value | None:
        """The value of an object in the parts of this kind."""
        return next(
            (each.value for part in self.same_kind if (each := part.entries.get(key)) and each.value), None
        )

    def _decoded(self, key: str, document: Mapping[str, Any]) -> Entry:
        before = self.entries.get(key, _NOTHING)
        value, rejected = decode_object(slim(document))
        if isinstance(value, Pod) and value.ready:
            value = replace(value, ready=False)  # read where slices are derived alone, and changes often
        return Entry(before.value if before.value == value else value, rejected)


class Store:
    """All kinds, and what changed since the last snapshot. `changed` is called after each change."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """No kind is known."""
        self._ring = ring
        self._lock = Lock()
        self._parts: list[Part] = []
        self._on_demand: tuple[Part, Callable[[], None]] | None = None
        self._moved: dict[ObjectRef, tuple[Value | None, Value | None]] = {}
        self._cluster = Cluster(version="")
        self._rejections_moved = False
        self._revision = 0
        self._count = 0

    def part(self) -> Part:
        """A further kind; no snapshot is made before it has been listed."""
        part = Part(self)
        self._parts.append(part)
        return part

    def part_on_demand(self, first: Part, want: Callable[[], None]) -> Part:
        """More of the same kind, of which `want` asks when a policy does; it is listed from then on."""
        part = self.part()
        part.ready = True
        first.same_kind = part.same_kind = (first, part)
        self._on_demand = (part, want)
        return part

    @property
    def complete(self) -> bool:
        """Whether every kind has been listed."""
        return all(part.ready for part in self._parts)

    def saw(self, document: Mapping[str, Any]) -> None:
        """Remember how new the newest object is."""
        self._revision = max(self._revision, revision_of(document["metadata"].get("resourceVersion")))

    def note(self, part: Part, key: str, entry: Entry) -> None:
        """Replace one object of a part."""
        with self._lock:
            moved = self._replace(part, key, entry)
        if moved:
            self._ring()

    def replace(self, part: Part, listed: dict[str, Entry]) -> None:
        """Replace all objects of a part, in one step, by those that were listed."""
        with self._lock:
            moved = [self._replace(part, key, _NOTHING) for key in part.entries.keys() - listed.keys()]
            moved += [self._replace(part, key, entry) for key, entry in listed.items()]
            first, part.ready = not part.ready, True
        if first or any(moved):
            self._ring()

    def take(self) -> Cluster | None:
        """A snapshot that is newer than the last one; None while nothing changed, or a kind is not listed."""
        with self._lock:
            self._meet_demand()
            first = not self._cluster.version
            if not self.complete or not (self._moved or self._rejections_moved or first):
                return None
            moved, self._moved = self._moved, {}
            rejected = self._cluster.rejected
            if self._rejections_moved:
                rejected = tuple(chain.from_iterable(part.rejected for part in self._parts))
                self._rejections_moved = False
            self._count += 1
            version = f"{self._revision}.{self._count}"
        gone = [was for was, now in moved.values() if was is not None and now is None]
        come = [now for was, now in moved.values() if now is not None and now is not was]
        self._cluster = replace(changed(self._cluster, gone, come, rejected), version=version)
        return self._cluster

    def _replace(self, part: Part, key: str, entry: Entry) -> bool:
        before, was = part.value(key), part.entries.get(key, _NOTHING)
        if entry == _NOTHING:
            part.entries.pop(key, None)
        else:
            part.entries[key] = entry
        now = part.value(key)
        if now is not before:
            self._move(before, now)
        if was.rejected != entry.rejected:
            self._rejections_moved = True
            return True
        return now is not before

    def _meet_demand(self) -> None:
        if self._on_demand and any(asks_for_pods(now) for _, now in self._moved.values()):
            (part, want), self._on_demand = self._on_demand, None
            part.ready = False
            want()

    def _move(self, was: Value | None, now: Value | None) -> None:
        known = now if now is not None else was
        if known is None:
            return
        published, _ = self._moved.get(known.ref, (was, None))
        self._moved[known.ref] = (published, now)
