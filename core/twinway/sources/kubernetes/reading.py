"""
The reading of one kind, without any I/O: which request comes next, and what its answers mean.

    list, in chunks      ─┐                        ┌── the watch ends, or breaks anywhere: again from `version`
    list, as a stream    ─┴─ version ─── watch ────┴── 410 Gone, another cluster, an older server: list again

A list counts when it is whole: until then the objects of the one before stay as they were.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from twinway.sources.kubernetes.failures import GarbledError, RefusedError, refusal
from twinway.sources.kubernetes.resources import Resource
from twinway.sources.kubernetes.revision import revision_of

LIMIT = 500
"""Objects of one chunk of a list, as client-go asks for them."""
SHORTEST_WATCH, LONGEST_WATCH = 300, 600
"""Seconds after which the server is asked to end a watch: by chance, so that they do not all end at once."""
INITIAL_END = "k8s.io/initial-events-end"
_NOT_UNDERSTOOD = frozenset(
    # The last where the server's storage lacks what a stream takes. Source: cacher.go, RequestWatchProgress.
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.INTERNAL_SERVER_ERROR}
)


class Sink(Protocol):
    """Where the objects of one kind go."""

    def begin(self) -> None:
        """A list begins: what is put from now on counts at `commit`. Forget what an earlier list left undone."""

    def put(self, document: Mapping[str, Any]) -> None:
        """An object as it is now."""

    def remove(self, document: Mapping[str, Any]) -> None:
        """An object is gone."""

    def commit(self) -> None:
        """The list is whole: objects that it did not have are gone."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for: a watch, or one chunk of a list."""

    watch: bool
    query: Mapping[str, str]


class Reading:
    """Where the reading of one kind stands."""

    def __init__(self, resource: Resource, sink: Sink, chance: Callable[[], float] = random.random) -> None:
        """Nothing has been read."""
        self._kind = resource.kind
        self._selectors = dict(resource.selectors)
        self._sink = sink
        self._chance = chance
        self._continue = ""
        self._listing = False
        self.version = ""
        """The resource version after which to watch; empty: list first."""
        self.streams = True
        """Whether the server may send lists as streams of events."""

    def next(self) -> Request:
        """The request that comes next."""
        selectors = self._selectors
        if self.version:
            return Request(watch=True, query={**selectors, **self._watching(), "resourceVersion": self.version})
        if self.streams:
            self._begin()
            # Source: KEP-3157.
            initial = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            return Request(watch=True, query={**selectors, **self._watching(), **initial})
        if not self._continue:
            self._begin()
        more = {"continue": self._continue} if self._continue else {}
        return Request(watch=False, query={**selectors, "limit": str(LIMIT), **more})

    def page(self, document: Mapping[str, Any]) -> None:
        """The answer to a request for a chunk; raises `GarbledError`, and then that chunk is asked for again."""
        metadata, items = document.get("metadata"), document.get("items", ())
        if not isinstance(metadata, Mapping) or not isinstance(items, list | None):
            raise GarbledError("the answer is no list of objects")
        version, token = metadata.get("resourceVersion"), metadata.get("continue")
        if not isinstance(version, str) or not version:
            raise GarbledError("the list has no resourceVersion")
        # The items of a list do not repeat what the list is.
        common = {"apiVersion": document.get("apiVersion"), "kind": self._kind}
        for item in items or ():
            self._sink.put({**common, **_object(item)})
        self._continue = token if isinstance(token, str) else ""
        if not self._continue:
            self._finish(version)

    def event(self, event: Mapping[str, Any]) -> None:
        """One event of a watch; raises `GarbledError`, or `RefusedError` where it is an error."""
        document = _object(event.get("object"))
        match event.get("type"):
            case "ADDED" | "MODIFIED":
                version = _version(document)
                self._sink.put(document)
            case "DELETED":
                version = _version(document)
                self._sink.remove(document)
            case "BOOKMARK":
                version = _version(document)
                if self._listing and _ends_the_list(document):
                    self._finish(version)
            case "ERROR":
                raise refusal(HTTPStatus.INTERNAL_SERVER_ERROR, document)
            case other:
                raise GarbledError(f"the watch has an event of type {str(other)[:40]!r}")
        if not self._listing:
            self.version = version

    def refused(self, error: RefusedError) -> bool:
        """The server refused the request; whether the next one is another, which it may take."""
        if error.expired:
            self.reset()
            return True
        if not self._listing or error.status not in _NOT_UNDERSTOOD:
            return False
        if self.streams:
            self.streams = False
            return True
        # An old server does not know every field. What is left out by selectors is left out by `decode`, too.
        return self._selectors.pop("fieldSelector", None) is not None

    def reset(self) -> None:
        """List again: the version means nothing to the server, or what came since then cannot be trusted."""
        self.version = self._continue = ""
        self._listing = False

    def newer_than(self, revision: int) -> bool:
        """Whether what was read is newer than `revision`, the newest version that the server has."""
        return revision_of(self.version) > revision

    def _watching(self) -> Mapping[str, str]:
        seconds = SHORTEST_WATCH + (LONGEST_WATCH - SHORTEST_WATCH) * self._chance()
        return {"allowWatchBookmarks": "true", "timeoutSeconds": str(int(seconds))}

    def _begin(self) -> None:
        self._listing = True
        self._sink.begin()

    def _finish(self, version: str) -> None:
        self._sink.commit()
        self._listing = False
        self._continue = ""
        self.version = version


def _object(document: object) -> Mapping[str, Any]:
    if not isinstance(document, Mapping):
        raise GarbledError("an object is no JSON object")
    return document


def _version(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, Mapping) else None
    if not isinstance(version, str) or not version:
        raise GarbledError("an object has no resourceVersion")
    return version


def _ends_the_list(bookmark: Mapping[str, Any]) -> bool:
    annotations = bookmark["metadata"].get("annotations")
    return isinstance(annotations, Mapping) and annotations.get(INITIAL_END) == "true"
