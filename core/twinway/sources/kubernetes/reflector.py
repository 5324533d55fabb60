"""The thread that follows one kind: makes the requests that `Reading` asks for, and pauses after failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from threading import Event

from twinway.sources.kubernetes.connection import Connection, Session
from twinway.sources.kubernetes.discovery import Place
from twinway.sources.kubernetes.failures import GarbledError, RefusedError, RequestError, UnreachableError
from twinway.sources.kubernetes.pacing import READING, Pacing
from twinway.sources.kubernetes.reading import SHORTEST_WATCH, Reading, Request
from twinway.sources.kubernetes.resources import Resource
from twinway.sources.kubernetes.transport import Stream
from twinway.sources.kubernetes.waiting import Stopped

logger = logging.getLogger(__name__)

DISTRUSTED_AFTER = 3
"""Answers without sense in a row after which everything is listed again."""


class Reflector:
    """Keeps a sink as the server has it. `changed` is called when `error` has changed."""

    def __init__(  # noqa: PLR0913 (the ends that it ties together)
        self,
        resource: Resource,
        place: Place,
        reading: Reading,
        connection: Connection,
        *,
        changed: Callable[[], None],
        pacing: Pacing = READING,
    ) -> None:
        """Nothing is asked yet."""
        self.resource = resource
        self._place = place
        self._reading = reading
        self._connection = connection
        self._changed = changed
        self._pacing = pacing
        self._stopping = Event()
        self._session: Session | None = None
        self._cluster = ""
        self._stream: Stream | None = None
        self._failures = 0
        self._retry_after = 0.0
        self.error: str | None = None
        self.heard = 0.0
        """Monotonic time of the last answer or event that the server sent."""

    def run(self) -> None:
        """Follow the kind until `stop`."""
        try:
            while not self._stopping.wait(max(self._pacing.pause(self._failures), self._retry_after)):
                self._request()
        except Stopped:
            return

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()
        self.interrupt()

    def interrupt(self) -> None:
        """End the watch that is open; `run` goes on with a new request."""
        if stream := self._stream:
            stream.interrupt()

    def _request(self) -> None:
        self._place.arrive()
        session = self._connection.session()
        self._recognise(session)
        try:
            path = self._place.path(session)
            request = self._reading.next()
            if request.watch:
                self._watch(session, path, request)
            else:
                page = session.transport.get(path, request.query, metadata_only=self.resource.metadata_only)
                self._reading.page(page)
                self._succeeded()
        except RefusedError as error:
            self._refused(session, error)
        except RequestError as error:
            if isinstance(error, GarbledError) and self._failures >= DISTRUSTED_AFTER:
                self._reading.reset()
            self._connection.drop(session)
            self._failed(error)
        except Exception as error:
            # A fault of this program's own must not be the silent end of following a kind.
            logger.exception("the answer of the server could not be used kind=%s", self.resource.kind)
            self._reading.reset()
            self._failed(GarbledError(f"the answer could not be used: {type(error).__name__}"))

    def _recognise(self, session: Session) -> None:
        """List again if the server is not the one that was read, or has lost what was read from it."""
        last, self._session = self._session, session
        if last is session:
            return
        # A cluster that is being set up has no name yet.
        before, self._cluster = self._cluster, session.cluster or self._cluster
        self._reading.streams = True
        if before and self._cluster != before:
            logger.warning("another cluster answers, listing again kind=%s", self.resource.kind)
            self._reading.reset()
        elif self._reading.newer_than(session.revision):
            logger.warning(
                "the server's newest version is older than what was read, listing again kind=%s",
                self.resource.kind,
            )
            self._reading.reset()

    def _watch(self, session: Session, path: str, request: Request) -> None:
        began = time.monotonic()
        stream = session.transport.watch(path, request.query, metadata_only=self.resource.metadata_only)
        self._stream = stream
        try:
            if self._stopping.is_set():
                return
            self._succeeded()
            for event in stream:
                self.heard = time.monotonic()
                self._reading.event(event)
                self._succeeded()
        except UnreachableError as error:
            # The next request tells whether the server is there.
            logger.debug("watch broken kind=%s error=%r", self.resource.kind, str(error))
        finally:
            self._stream = None
            stream.close()
        if time.monotonic() - began < SHORTEST_WATCH:
            self._connection.drop(session)
            self._failures += 1

    def _succeeded(self) -> None:
        self.heard = time.monotonic()
        # A list that never gets to its end is no success.
        if self._reading.version:
            self._failures = 0
            self._retry_after = 0.0
            self._tell(None)

    def _refused(self, session: Session, error: RefusedError) -> None:
        if error.unknown_credentials:
            self._connection.drop(session)
        if error.status == HTTPStatus.NOT_FOUND:
            self._place.forget()
        if not self._reading.refused(error):
            self._retry_after = error.retry_after
            self._failed(error)
        elif error.expired:
            logger.info(
                "the server no longer has the history that was asked for, listing again kind=%s",
                self.resource.kind,
            )
            self._failures += 1

    def _failed(self, error: RequestError) -> None:
        self._failures += 1
        # The first try after a failure often succeeds: credentials were replaced, a server was restarted.
        if self._failures > 1:
            self._tell(f"{self.resource.plural}: {error}")

    def _tell(self, error: str | None) -> None:
        if error != self.error:
            self.error = error
            self._changed()
