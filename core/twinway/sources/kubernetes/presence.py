"""
Which optional kinds the cluster has, by its CustomResourceDefinitions.

A kind is absent only if the list of definitions says so. An API server that has just been started
answers 404 for a kind whose definition it has not read yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twinway.sources.kubernetes.raw import key_of
from twinway.sources.kubernetes.waiting import Waiting


class Presence(Waiting):
    """The names of the definitions there are; a `Sink` of their reflector."""

    def __init__(self) -> None:
        super().__init__()
        self._names: set[str] = set()
        self._listed: set[str] | None = None
        self._known = False
        self._actions: dict[str, Callable[[], None]] = {}

    def on_leaving(self, name: str, action: Callable[[], None]) -> None:
        """Have `action` called when this definition goes."""
        self._actions[name] = action

    def has(self, name: str) -> bool:
        """Whether there is this definition; waits until the definitions have been listed. Raises `Stopped`."""
        with self._condition:
            self._wait(lambda: self._known)
            return name in self._names

    def await_coming(self, name: str) -> None:
        """Wait until there is this definition; raises `Stopped`."""
        with self._condition:
            self._wait(lambda: name in self._names)

    def begin(self) -> None:
        """Begin a list; see `Sink`."""
        self._listed = set()

    def put(self, document: Mapping[str, Any]) -> None:
        """Take a definition."""
        name = key_of(document).removeprefix("/")
        if self._listed is not None:
            self._listed.add(name)
        else:
            self._become(self._names | {name})

    def remove(self, document: Mapping[str, Any]) -> None:
        """Forget a definition."""
        self._become(self._names - {key_of(document).removeprefix("/")})

    def commit(self) -> None:
        """Make the list count."""
        listed, self._listed = self._listed or set(), None
        self._known = True
        self._become(listed)

    def _become(self, names: set[str]) -> None:
        with self._condition:
            left, self._names = self._names - names, names
            self._condition.notify_all()
        for name in left & self._actions.keys():
            self._actions[name]()
