"""Where a kind is: at a place that is known, or, of an optional one, where discovery finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from twinway.sources.kubernetes.connection import Session
from twinway.sources.kubernetes.failures import GarbledError, RefusedError
from twinway.sources.kubernetes.presence import Presence
from twinway.sources.kubernetes.resources import Resource, path_of
from twinway.sources.kubernetes.transport import Transport


class Place(Protocol):
    """Where a kind is."""

    def arrive(self) -> None:
        """Return once the cluster has the kind; raises `Stopped`."""

    def path(self, session: Session) -> str:
        """The path of the kind at this server; raises `RequestError`."""

    def forget(self) -> None:
        """The server has nothing at the path."""


class Fixed:
    """The `Place` of a kind that every cluster has."""

    def __init__(self, resource: Resource) -> None:
        """The preferred version is the only one."""
        self._path = path_of(resource.versions[0], resource.plural)

    def arrive(self) -> None:
        """The kind is always there."""

    def path(self, _session: Session) -> str:
        """The same path at every server."""
        return self._path

    def forget(self) -> None:
        """The server is not ready yet: the path stays."""


class Discovered:
    """The `Place` of an optional kind. `absent` is called when the cluster does not have it."""

    def __init__(self, resource: Resource, presence: Presence, absent: Callable[[], None]) -> None:
        """Nothing is known."""
        self._resource = resource
        self._presence = presence
        self._absent = absent
        self._found: tuple[Session, str] | None = None

    def arrive(self) -> None:
        """Return once there is a definition of the kind."""
        if not self._presence.has(self._resource.definition):
            self._found = None
            self._absent()
            self._presence.await_coming(self._resource.definition)

    def path(self, session: Session) -> str:
        """What discovery answers, asked once a session."""
        if self._found is None or self._found[0] is not session:
            version = served_version(session.transport, self._resource)
            self._found = (session, path_of(version, self._resource.plural))
        return self._found[1]

    def forget(self) -> None:
        """Ask discovery again."""
        self._found = None


def served_version(transport: Transport, resource: Resource) -> str:
    """
    The first version of the kind that can be read here, or the only one of a kind that every server has.

    Where the server has other versions alone, in one of those: `decode` takes such a policy in the
    sense that allows least. Raises `RequestError`, a `RefusedError` with status 404 where it has none.
    """
    if not resource.optional:
        return resource.versions[0]
    served = [version for version in _versions(transport, resource.group) if _has(transport, version, resource)]
    for version in (*resource.versions, *served):
        if version in served:
            return version
    raise RefusedError(HTTPStatus.NOT_FOUND, f"{resource.plural}.{resource.group} is not served yet")


def _versions(transport: Transport, group: str) -> Iterator[str]:
    for each in _items(transport.get(f"/apis/{group}", {}), "versions"):
        if isinstance(version := each.get("groupVersion"), str):
            yield version


def _has(transport: Transport, version: str, resource: Resource) -> bool:
    found = _items(transport.get(path_of(version), {}), "resources")
    return any(each.get("name") == resource.plural for each in found)


def _items(document: Mapping[str, Any], field: str) -> Iterable[Mapping[str, Any]]:
    items = document.get(field)
    if not isinstance(items, list) or not all(isinstance(each, Mapping) for each in items):
        raise GarbledError(f"the answer has no {field}")
    return items
