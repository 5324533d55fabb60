"""
Ask a web server without pause, and account for every request: run by path, with the standard library alone.

    load.py HOST PORT KEPT OPENED

`KEPT` connections carry request after request, `OPENED` others are opened for one request each, one
after the other. Prints `ready` when each has had an answer, and at the end of its input one JSON
object: by kind, how many were asked, answered and lost, and the longest wait for an answer in
seconds; for each of the first losses when and why. A request is lost that gets no whole answer:
refused, reset, cut, or silent for `PATIENCE` seconds.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 5.0
SHOWN = 20
"""So many losses are reported one by one."""
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
ANSWER = b"ok\n"

Address = tuple[str, int]


class Account:
    """What became of one kind's requests; each is in exactly one of `answered` and `lost`."""

    def __init__(self) -> None:
        self.asked = self.answered = self.lost = 0
        self.longest = 0.0
        self.losses: list[str] = []
        self.lock = threading.Lock()

    def carry_out(self, request: Callable[[], None], begun: float) -> bool:
        """Make one request and account for it; returns whether it was answered."""
        with self.lock:
            self.asked += 1
        asked = time.monotonic()
        try:
            request()
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            with self.lock:
                self.lost += 1
                self.losses.append(f"after {asked - begun:.2f} s: {name}")
            return False
        with self.lock:
            self.answered += 1
            self.longest = max(self.longest, time.monotonic() - asked)
        return True

    def report(self) -> dict[str, Any]:
        """Return the counts, the longest wait and the first losses."""
        words = ("asked", "answered", "lost", "longest")
        return {word: getattr(self, word) for word in words} | {"losses": self.losses[:SHOWN]}


def opened(address: Address) -> socket.socket:
    """Connect to `address`, and return the socket."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.settimeout(PATIENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def exchange(talker: socket.socket) -> None:
    """Send one request, and receive the whole answer."""
    talker.sendall(REQUEST)
    got = b""
    while not got.endswith(ANSWER):
        part = talker.recv(4096)
        if not part:
            raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
        got += part


class Kept:
    """Requests on one connection, which is opened again after a loss."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.talker: socket.socket | None = None

    def __call__(self) -> None:
        """Make one request."""
        talker, self.talker = self.talker, None
        talker = talker or opened(self.address)
        try:
            exchange(talker)
        except OSError:
            talker.close()
            raise
        self.talker = talker


class Opened:
    """Requests that have a connection each."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def __call__(self) -> None:
        """Make one request."""
        with opened(self.address) as talker:
            exchange(talker)


def main() -> None:
    """Make requests until the input ends."""
    host, port, *counts = sys.argv[1:]
    address = (host, int(port))
    accounts = {"kept": Account(), "opened": Account()}
    begun, stop = time.monotonic(), threading.Event()
    threads: list[threading.Thread] = []
    first: list[threading.Event] = []

    def go_on(account: Account, request: Callable[[], None], answered: threading.Event) -> None:
        while not stop.is_set():
            if account.carry_out(request, begun):
                answered.set()

    for (name, account), kind, count in zip(accounts.items(), (Kept, Opened), map(int, counts), strict=True):
        for _ in range(count):
            first.append(threading.Event())
            given = (account, kind(address), first[-1])
            threads.append(threading.Thread(target=go_on, args=given, name=name, daemon=True))
    for thread in threads:
        thread.start()
    for each in first:
        each.wait()
    print("ready", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({name: account.report() for name, account in accounts.items()}), flush=True)


if __name__ == "__main__":
    main()
