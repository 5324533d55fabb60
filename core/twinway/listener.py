"""
A listening socket whose clients cannot harm the agent, however many, idle or slow they are.

Each connection has a thread, and at most `most` do. One more is let in at the cost of the one that has
kept us waiting longest; whoever keeps us waiting for longer than `patience` goes anyway. Whose request
is being worked on is never sent away. When descriptors run out the others are served on, and a line
in the log says so.
"""

from __future__ import annotations

import errno
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

logger = logging.getLogger(__name__)

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE = 0.2
"""Seconds until the next try after a shortage."""
SCAN_SECONDS = 1.0
"""Between two scans for clients that have been silent for too long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take: connections at once, and seconds for a request or for taking a reply."""

    most: int = 64
    patience: float = 30.0


class Visit:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        """The client is to speak."""
        self.socket = connection
        self.waiting_since: float | None = time.monotonic()
        """None while its request is worked on."""

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work on its request: it is not the client now who keeps us waiting."""
        self.waiting_since = None
        try:
            yield
        finally:
            self.waiting_since = time.monotonic()

    def dismiss(self) -> None:
        """Hang up; its thread finds out and ends."""
        self.waiting_since = None
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Listener:
    """Serves connections to one socket until it is closed."""

    def __init__(
        self, listening: socket.socket, serve: Callable[[Visit], None], *, name: str, limits: Limits | None = None
    ) -> None:
        """`serve` has a connection's whole life; an `OSError` that it raises is a client that went away."""
        self._socket = listening
        self._serve = serve
        self._name = name
        self._limits = limits or Limits()
        self._visits: set[Visit] = set()
        self._ended = threading.Condition()
        self._closed = False
        self._short = False
        listening.settimeout(0.0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    @property
    def address(self) -> object:
        """Where it listens: a path, or (host, port, …)."""
        return self._socket.getsockname()

    def move(self, listening: socket.socket) -> None:
        """Listen at another socket; connections that there are go on."""
        listening.settimeout(0.0)
        before, self._socket = self._socket, listening
        _wake(before)

    def close(self) -> None:
        """Listen no more; requests under way get their answer if the process lives on."""
        self._closed = True
        _wake(self._socket)
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._closed:
            listening = self._socket
            if self._ready(listening):
                self._welcome(listening)
            if self._socket is not listening:
                listening.close()
            self._dismiss_overdue()

    def _ready(self, listening: socket.socket) -> bool:
        poller = select.poll()
        poller.register(listening, select.POLLIN)
        return bool(poller.poll(SCAN_SECONDS * 1000)) and not self._closed

    def _welcome(self, listening: socket.socket) -> None:
        if not self._make_room():
            return
        try:
            connection, _ = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            self._refused(error, listening)
            return
        connection.settimeout(None)
        visit = Visit(connection)
        with self._ended:
            self._visits.add(visit)
        try:
            threading.Thread(target=self._attend, args=(visit,), name=f"{self._name} request", daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._end(visit)
            self._tell_shortage(str(error))
        else:
            if self._short:
                self._short = False
                logger.info("connections are accepted again socket=%s", self._name)

    def _attend(self, visit: Visit) -> None:
        try:
            self._serve(visit)
        except OSError as error:
            logger.debug("client went away socket=%s reason=%r", self._name, str(error))
        finally:
            self._end(visit)

    def _end(self, visit: Visit) -> None:
        visit.socket.close()
        with self._ended:
            self._visits.discard(visit)
            self._ended.notify_all()

    # Whoever is dismissed takes a moment to go. Where nobody can be, the newcomer waits in the queue.
    def _make_room(self) -> bool:
        with self._ended:
            if len(self._visits) < self._limits.most:
                return True
            self._dismiss_slowest()
            return self._ended.wait_for(lambda: len(self._visits) < self._limits.most, PAUSE)

    def _dismiss_slowest(self) -> None:
        waiting = [(since, visit) for visit in self._visits if (since := visit.waiting_since) is not None]
        if waiting:
            min(waiting, key=lambda pair: pair[0])[1].dismiss()

    def _dismiss_overdue(self) -> None:
        since = time.monotonic() - self._limits.patience
        with self._ended:
            for visit in self._visits:
                if visit.waiting_since is not None and visit.waiting_since < since:
                    visit.dismiss()

    def _refused(self, error: OSError, listening: socket.socket) -> None:
        if self._closed or listening is not self._socket or error.errno == errno.ECONNABORTED:
            return
        self._tell_shortage(error.strerror or str(error))
        if error.errno in SHORTAGES:
            with self._ended:
                self._dismiss_slowest()
        time.sleep(PAUSE)

    def _tell_shortage(self, reason: str) -> None:
        if not self._short:
            self._short = True
            logger.warning(
                "connections cannot be accepted, trying on socket=%s connections=%d reason=%r",
                self._name,
                len(self._visits),
                reason,
            )


def _wake(listening: socket.socket) -> None:
    # whoever polls it, or waits in accept, returns
    with suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)
