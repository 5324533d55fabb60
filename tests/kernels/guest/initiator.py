"""
Compare what this kernel's counts say about the initiators of connections with the truth, whoever listens now.

    initiator.py RESULT      writes [[exchange, end, whether it is the initiator, what the counts say], ...]
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
"""Seconds until the last acknowledgement of an exchange has been sent, which the kernel delays by 40 ms."""


def say(speaker: socket.socket, listener: socket.socket, size: int) -> None:
    """Send `size` bytes from one end to the other."""
    speaker.sendall(bytes(size))
    while size:
        size -= len(listener.recv(size))


def half_closed(client: socket.socket, server: socket.socket) -> None:
    """The client closes its direction, and the server sends."""
    client.shutdown(socket.SHUT_WR)
    say(server, client, 10)


EXCHANGES: dict[str, Callable[[socket.socket, socket.socket], object]] = {
    "no data": lambda client, server: None,
    "data of the client": lambda client, server: say(client, server, 100_000),
    "data of the server": lambda client, server: say(server, client, 100_000),
    "half closed": half_closed,
}


def judged(
    address: str, exchange: Callable[[socket.socket, socket.socket], object]
) -> list[tuple[str, bool, bool]]:
    """Both ends after the listener is gone. For the client's end, a listener at its port is assumed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server = listener.accept()[0]
    with client, server:
        exchange(client, server)
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
    """Every exchange, over both families."""
    rows = [
        (f"{name}, {address}", *row)
        for address in ("127.0.0.1", "::1")
        for name, exchange in EXCHANGES.items()
        for row in judged(address, exchange)
    ]
    Path(sys.argv[1]).write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
