"""
Ask a `serve.py` through HOST PORT without pause, and count what is lost.

    load.py HOST PORT PATIENCE PAUSE

Connections that are kept, one connection after another, and a connected UDP socket, a request each
and PAUSE seconds between two. Prints `ready` once each has had an answer; at the end of its input it
stops and prints one JSON object: requests by kind, who answered, and one line for each loss: each
question without an answer for PATIENCE seconds.
A UDP socket that is told an error is opened again, as resolvers do; silence is a loss.
Run by path in a pod's namespace, with the standard library alone.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
import time
from typing import Any

Address = tuple[str, int]

_KEPT = 4


class Tally:
    """What happened, counted by all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun = time.monotonic()
        self.requests = {"kept": 0, "opened": 0, "datagrams": 0}
        self.reopened = 0
        self.backends: dict[str, int] = {}
        self.lost: list[str] = []
        self.slowest = 0.0
        self.stop = threading.Event()

    def answered(self, kind: str, backend: str, seconds: float) -> None:
        """One request and who answered it."""
        with self.lock:
            self.requests[kind] += 1
            self.backends[backend] = self.backends.get(backend, 0) + 1
            self.slowest = max(self.slowest, seconds)

    def loss(self, kind: str, error: OSError) -> None:
        """One request that was not."""
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        with self.lock:
            self.lost.append(f"{time.monotonic() - self.begun:.2f} s: {kind}: {name}")

    def told(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "requests": self.requests,
            "backends": self.backends,
            "lost": self.lost[:20],
            "losses": len(self.lost),
            "reopened": self.reopened,
            "slowest_ms": round(self.slowest * 1000),
        }


def patience() -> float:
    """Seconds after which a question counts as lost."""
    return float(sys.argv[3])


def pause() -> float:
    """Seconds between a request and the next."""
    return float(sys.argv[4])


def connected(kind: socket.SocketKind, address: Address) -> socket.socket:
    """A connected socket."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, kind)
    made.settimeout(patience())
    made.connect(address)
    return made


def ask(talker: socket.socket) -> tuple[str, float]:
    """Who answers, and how long it took."""
    begun = time.monotonic()
    talker.send(b"ping\n")
    answer = talker.recv(4096)
    if not answer:
        raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
    return answer.split()[0].decode(), time.monotonic() - begun


def keep(address: Address, tally: Tally) -> None:
    """Ask over one connection as long as it lasts."""
    talker: socket.socket | None = None
    while not tally.stop.wait(pause()):
        try:
            talker = talker or connected(socket.SOCK_STREAM, address)
            tally.answered("kept", *ask(talker))
        except OSError as error:
            tally.loss("kept", error)
            talker = None


def renew(address: Address, tally: Tally) -> None:
    """Ask over a new connection each time."""
    while not tally.stop.wait(pause()):
        try:
            with connected(socket.SOCK_STREAM, address) as talker:
                tally.answered("opened", *ask(talker))
        except OSError as error:
            tally.loss("opened", error)


def datagrams(address: Address, tally: Tally) -> None:
    """Ask from a connected UDP socket."""
    talker: socket.socket | None = None
    while not tally.stop.wait(pause()):
        try:
            talker = talker or connected(socket.SOCK_DGRAM, address)
            tally.answered("datagrams", *ask(talker))
        except TimeoutError as error:
            tally.loss("datagrams", error)
            talker = None
        except OSError:
            tally.reopened += 1
            talker = None


def main() -> None:
    """Ask until the input ends."""
    address = (sys.argv[1], int(sys.argv[2]))
    tally = Tally()
    loops = [keep] * _KEPT + [renew, datagrams]
    threads = [threading.Thread(target=loop, args=(address, tally), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    while not (all(tally.requests.values()) or tally.lost):
        time.sleep(pause())
    print("ready", flush=True)
    sys.stdin.read()
    tally.stop.set()
    for thread in threads:
        thread.join(patience() + 1)
    print(json.dumps(tally.told()), flush=True)


if __name__ == "__main__":
    main()
