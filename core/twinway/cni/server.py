"""The socket the CNI plugin talks to: one connection, one request, one answer."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

from twinway.cni.verbs import Answer, Verbs
from twinway.listener import Limits, Listener, Visit
from twinway.unixsocket import listen

logger = logging.getLogger(__name__)

LONGEST_REQUEST = 2 << 20
"""Twice what the plugin takes from stdin, so that the environment fits, too."""
READ_SECONDS = 10.0


LIMITS = Limits(most=128, patience=READ_SECONDS)
"""A runtime starts as many pods at once as it likes; each ADD waits for its pod."""


class CniServer:
    """Answers on a unix socket until it is closed."""

    def __init__(self, path: Path, verbs: Verbs) -> None:
        """Listen at `path`."""
        self._path = path
        self._verbs = verbs
        self._listener = Listener(listen(path), self._serve, name="cni", limits=LIMITS)

    def start(self) -> None:
        """Begin to answer, each request in a thread of its own: ADDs wait."""
        self._listener.start()

    def remake(self) -> None:
        """Listen again at its path, where somebody removed it."""
        self._listener.move(listen(self._path))

    def close(self) -> None:
        """Stop answering; requests under way get their answer if the process lives on."""
        self._path.unlink(missing_ok=True)
        self._listener.close()

    def _serve(self, visit: Visit) -> None:
        message = _read(visit.socket)
        if not message:
            return  # whoever connects without a word is no plugin
        with visit.working():
            answer = self._verbs.answer(message)
        try:
            visit.socket.sendall(_encode(answer))
        except OSError as error:
            logger.warning("the plugin went away before its answer reason=%r", str(error))


def _read(connection: socket.socket) -> bytes:
    deadline = time.monotonic() + READ_SECONDS
    chunks: list[bytes] = []
    size = 0
    while size <= LONGEST_REQUEST:
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(65536)
        if not chunk:
            connection.settimeout(READ_SECONDS)
            return b"".join(chunks)
        chunks.append(chunk)
        size += len(chunk)
    raise OSError(f"request of more than {LONGEST_REQUEST} bytes")


def _encode(answer: Answer) -> bytes:
    return f"{answer.status}\n{answer.stdout}".encode()
