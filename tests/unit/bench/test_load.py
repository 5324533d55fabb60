"""The load accounts for every request."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from twinway_bench import load


class Answers(socketserver.BaseRequestHandler):
    """Answers requests as a web server does; every hundredth connection is cut in the middle of an answer."""

    connections = 0
    cut = 0
    enough = threading.Event()

    def handle(self) -> None:
        """One connection, until it ends."""
        Answers.connections += 1
        number = Answers.connections
        while self.request.recv(4096):
            if number % 100 == 0:
                Answers.cut += 1
                if Answers.cut == 3:
                    Answers.enough.set()
                self.request.sendall(b"HTTP/1.1 200 OK\r\n")
                return
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")


class Server(socketserver.ThreadingTCPServer):
    """On a port of its own."""

    daemon_threads = True
    request_queue_size = 128


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that is answering."""
    Answers.connections = Answers.cut = 0
    Answers.enough.clear()
    with Server(("127.0.0.1", 0), Answers) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()


def test_every_request_is_answered_or_lost(server: Server) -> None:
    """What the server cut is lost, with its reason; all else is answered; the sum is what was asked."""
    words = [sys.executable, load.__file__, "127.0.0.1", str(server.server_address[1]), "2", "2"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert Answers.enough.wait(60)
        said, _ = process.communicate(timeout=30)
    printed = json.loads(said)
    assert sum(kind["lost"] for kind in printed.values()) == Answers.cut
    for kind in printed.values():
        assert kind["asked"] == kind["answered"] + kind["lost"] > 0
        assert all(loss.endswith("ECONNRESET") for loss in kind["losses"])
