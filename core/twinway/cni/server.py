"""The socket the CNI plugin talks to: one connection, one request, one answer."""

from __future__ import annotations

import logging
import socket
import threading
import time
from pathlib import Path

from twinway.cni.verbs import Answer, Verbs
from twinway.unixsocket import listen

logger = logging.getLogger(__name__)

LONGEST_REQUEST = 2 << 20
"""Twice what the plugin takes from stdin, so that the environment fits, too."""
READ_SECONDS = 10.0


class CniServer:
    """Answers on a unix socket until it is closed."""

    def __init__(self, path: Path, verbs: Verbs) -> None:
        """Listen at `path`."""
        self._path = path
        self._verbs = verbs
        self._socket = listen(path)
        self._thread = threading.Thread(target=self._accept, name="cni", daemon=True)

    def start(self) -> None:
        """Begin to answer, each request in a thread of its own: ADDs wait."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering; requests under way get their answer if the process lives on."""
        self._path.unlink(missing_ok=True)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), name="cni request", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                message = _read(connection)
                connection.sendall(_encode(self._verbs.answer(message)))
            except OSError as error:
                logger.warning("the plugin went away reason=%r", str(error))


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
