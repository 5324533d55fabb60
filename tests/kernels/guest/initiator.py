"""
What this kernel's counts say of who opened connections, whoever listens by now.

    initiator.py RESULT      writes [[talk, end, whether it connected, whether that is told], ...]
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from twinway.model.net import Protocol
from twinway_bpf.connections.preexisting import ENDING, is_initiator
from twinway_bpf.connections.sockdiag import SockDiag, State

SETTLES = 0.3
"""Seconds until the last acknowledgement of a talk has been sent, at a delay of 40 ms."""


def say(speaker: socket.socket, listener: socket.socket, size: int) -> None:
    """So many bytes, from one to the other."""
    speaker.sendall(bytes(size))
    while size:
        size -= len(listener.recv(size))


def half_closed(client: socket.socket, server: socket.socket) -> None:
    """The client has no more to say; the server has."""
    client.shutdown(socket.SHUT_WR)
    say(server, client, 10)


TALKS: dict[str, Callable[[socket.socket, socket.socket], object]] = {
    "nothing": lambda client, server: None,
    "the client": lambda client, server: say(client, server, 100_000),
    "the server": lambda client, server: say(server, client, 100_000),
    "half closed": half_closed,
}


def told(address: str, talk: Callable[[socket.socket, socket.socket], object]) -> list[tuple[str, bool, bool]]:
    """What is told of both ends when their listener has gone, and of the client's when one is at its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server = listener.accept()[0]
    with client, server:
        talk(client, server)
        time.sleep(SETTLES)
        with SockDiag() as diag:
            found = {s.local.port: s for s in diag.sockets(Protocol.TCP, (State.ESTABLISHED, *ENDING), info=True)}
        ours, theirs = (found[end.getsockname()[1]] for end in (client, server))
        heard = frozenset({(Protocol.TCP, *ours.local)})
        return [
            ("client", True, is_initiator(ours, heard)),
            ("server", False, is_initiator(theirs, frozenset())),
        ]


def main() -> None:
    """Every talk, over both families."""
    rows = [
        (f"{name}, {address}", *row)
        for address in ("127.0.0.1", "::1")
        for name, talk in TALKS.items()
        for row in told(address, talk)
    ]
    Path(sys.argv[1]).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
