"""
The one connection of a node to its API server, shared by all reflectors, and made anew after a failure.

A new session reads kubeconfig, token and certificates from disk again: whatever was rotated there
counts from then on. And it asks who answers, because another server may be behind the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Timer
from typing import Any

from twinway.errors import SourceError
from twinway.sources.kubernetes.failures import GarbledError
from twinway.sources.kubernetes.pacing import CONNECTING, Pacing
from twinway.sources.kubernetes.resources import path_of
from twinway.sources.kubernetes.revision import revision_of
from twinway.sources.kubernetes.transport import Transport
from twinway.sources.kubernetes.waiting import Waiting

SLOW_SECONDS = 60.0
"""How long connecting may take before it is reported; every request of it has a shorter limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A connection that worked, and whose it is."""

    transport: Transport
    cluster: str
    """The uid of the namespace kube-system, by which clusters differ; empty while there is none."""
    revision: int
    """The newest resource version of the server when the session began."""


class Connection(Waiting):
    """Makes a session when there is none. `changed` is called when `error` has changed."""

    def __init__(
        self, connect: Callable[[], Transport], changed: Callable[[], None], pacing: Pacing = CONNECTING
    ) -> None:
        """Nothing is connected yet; `connect` reads configuration and credentials from disk."""
        super().__init__()
        self._connect = connect
        self._changed = changed
        self._pacing = pacing
        self._connecting = False
        self._session: Session | None = None
        self._failures = 0
        self.error: str | None = None

    def session(self) -> Session:
        """
        The session; made, where there is none, by one caller at a time, and tried again until there is one.

        Raises `Stopped`.
        """
        while True:
            with self._condition:
                self._wait(lambda: self._session or not self._connecting)
                if self._session is not None:
                    return self._session
                self._connecting = True
            self._make()

    def drop(self, session: Session) -> None:
        """Make a new session for the next request, unless somebody else did already."""
        with self._condition:
            if self._session is session:
                self._session = None
                session.transport.close()

    def _make(self) -> None:
        made: Session | None = None
        # A program for credentials may hang, which the client waits for without an end.
        slow = Timer(SLOW_SECONDS, self._tell, [f"connecting has taken more than {SLOW_SECONDS:g} s"])
        slow.daemon = True
        slow.start()
        try:
            made = _begin(self._connect())
            error = None
        except SourceError as failure:
            self._failures += 1
            error = str(failure)
        finally:
            slow.cancel()
            slow.join()
        self._tell(error)
        with self._condition:
            if made is None:
                self._condition.wait_for(lambda: self._stopped, self._pacing.pause(self._failures))
            else:
                self._failures = 0
                self._session = made
            self._connecting = False
            self._condition.notify_all()

    def _tell(self, error: str | None) -> None:
        if error != self.error:
            self.error = error
            self._changed()


def _begin(transport: Transport) -> Session:
    query = {"fieldSelector": "metadata.name=kube-system", "limit": "1"}
    try:
        found = transport.get(path_of("v1", "namespaces"), query, metadata_only=True)
        return Session(transport, *_identity(found))
    except SourceError as error:
        transport.close()
        raise SourceError(f"{transport.host}: {error}") from error


def _identity(found: Mapping[str, Any]) -> tuple[str, int]:
    try:
        revision = revision_of(found["metadata"]["resourceVersion"])
        return next((str(item["metadata"]["uid"]) for item in found["items"] or ()), ""), revision
    except (KeyError, TypeError) as error:
        raise GarbledError("the answer is no list of namespaces") from error
