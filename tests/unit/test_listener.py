"""Clients of a listening socket: few at a time, none for ever, and never in the middle of their work."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinway.listener import Limits, Listener, Visit
from twinway.unixsocket import listen

SECONDS = 10.0


class Echo:
    """A server that answers each line with itself, once `allowed` is set."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.allowed = threading.Event()
        self.allowed.set()
        self.working = threading.Event()
        self.listener = Listener(listen(path), self._serve, name="echo", limits=limits)
        self.listener.start()

    def _serve(self, visit: Visit) -> None:
        while line := visit.socket.recv(100):
            with visit.working():
                self.working.set()
                self.allowed.wait(SECONDS)
            visit.socket.sendall(line)

    def client(self) -> socket.socket:
        """A connection to it."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(SECONDS)
        made.connect(str(self.path))
        return made


@pytest.fixture
def echo(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Echo]:
    made = Echo(tmp_path / "echo.sock", request.param)
    yield made
    made.allowed.set()
    made.listener.close()


few = pytest.mark.parametrize("echo", [Limits(most=3, patience=SECONDS)], indirect=True)
impatient = pytest.mark.parametrize("echo", [Limits(most=8, patience=0.1)], indirect=True)


@few
def test_longest_waiting_makes_room(echo: Echo) -> None:
    """One more than there is room for is served; who has kept us waiting longest is sent away, and nobody else."""
    clients = [echo.client() for _ in range(3)]
    for client in clients[1:]:
        client.sendall(b"x")
        assert client.recv(10) == b"x"
    with echo.client() as one_more:
        one_more.sendall(b"y")
        assert one_more.recv(10) == b"y"
        assert clients[0].recv(10) == b""
        clients[2].sendall(b"z")
        assert clients[2].recv(10) == b"z"
    for client in clients:
        client.close()


@impatient
def test_idle_clients_are_sent_away(echo: Echo) -> None:
    """Who says nothing for longer than our patience is sent away though there is room."""
    with echo.client() as idle:
        assert idle.recv(10) == b""


@impatient
def test_work_is_never_cut_off(echo: Echo) -> None:
    """While we work on a request, its client waits for us, however long that takes."""
    echo.allowed.clear()
    with echo.client() as patient, echo.client() as idle:
        patient.sendall(b"long")
        assert echo.working.wait(SECONDS)
        assert idle.recv(10) == b""
        echo.allowed.set()
        assert patient.recv(10) == b"long"


@few
def test_moves_to_another_socket(echo: Echo) -> None:
    """Where the path was removed it listens at a new one, and connections that there are go on."""
    with echo.client() as before:
        echo.path.unlink()
        echo.listener.move(listen(echo.path))
        with echo.client() as after:
            for client in (before, after):
                client.sendall(b"x")
                assert client.recv(10) == b"x"
