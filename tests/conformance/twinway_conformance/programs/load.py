"""
Send requests to a `serve.py` at HOST PORT all the time, and count losses.

    load.py HOST PORT PATIENCE PAUSE

Requests go over connections that stay open, over a new connection each time, and over a connected UDP socket, with
PAUSE seconds between two requests of each. Prints `ready` once each kind had an answer. When its input ends, it
stops and prints one JSON object: requests by kind, answers by backend, and one line for each loss, which is a
request without an answer for PATIENCE seconds. A UDP socket that gets an error is opened again, as resolvers do;
silence is a loss. Run by path in a pod's namespace, with the standard library alone.
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
    """The counts of all threads."""

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
        """Count a request that `backend` answered."""
        with self.lock:
            self.requests[kind] += 1
            self.backends[backend] = self.backends.get(backend, 0) + 1
            self.slowest = max(self.slowest, seconds)

    def loss(self, kind: str, error: OSError) -> None:
        """Count a request that was lost."""
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        with self.lock:
            self.lost.append(f"{time.monotonic() - self.begun:.2f} s: {kind}: {name}")

    def report(self) -> dict[str, Any]:
        """All counts, for JSON."""
        return {
            "requests": self.requests,
            "backends": self.backends,
            "lost": self.lost[:20],
            "losses": len(self.lost),
            "reopened": self.reopened,
            "slowest_ms": round(self.slowest * 1000),
        }


def patience() -> float:
    """Seconds after which a request counts as lost."""
    return float(sys.argv[3])


def pause() -> float:
    """Seconds between two requests."""
    return float(sys.argv[4])


def connected(kind: socket.SocketKind, address: Address) -> socket.socket:
    """A connected socket."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, kind)
    made.settimeout(patience())
    made.connect(address)
    return made


def ask(talker: socket.socket) -> tuple[str, float]:
    """The backend that answers, and the seconds that it took."""
    begun = time.monotonic()
    talker.send(b"ping\n")
    answer = talker.recv(4096)
    if not answer:
        raise ConnectionResetError(errno.ECONNRESET, "closed by the peer")
    return answer.split()[0].decode(), time.monotonic() - begun


def keep(address: Address, tally: Tally) -> None:
    """Send requests over one connection for as long as it lasts."""
    talker: socket.socket | None = None
    while not tally.stop.wait(pause()):
        try:
            talker = talker or connected(socket.SOCK_STREAM, address)
            tally.answered("kept", *ask(talker))
        except OSError as error:
            tally.loss("kept", error)
            talker = None


def renew(address: Address, tally: Tally) -> None:
    """Send each request over a new connection."""
    while not tally.stop.wait(pause()):
        try:
            with connected(socket.SOCK_STREAM, address) as talker:
                tally.answered("opened", *ask(talker))
        except OSError as error:
            tally.loss("opened", error)


def datagrams(address: Address, tally: Tally) -> None:
    """Send requests from a connected UDP socket."""
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
    """Send requests until the input ends."""
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
    print(json.dumps(tally.report()), flush=True)


if __name__ == "__main__":
    main()
