"""
Ask a web server without pause, and account for every request: run by path, with the standard library alone.

    load.py HOST PORT KEPT OPENED

`KEPT` connections carry request after request, `OPENED` others are opened for one request each, one
after the other. Prints `ready` when each has had an answer, and at the end of its input one JSON
object: by kind, how many were asked, answered and lost, and the longest wait for an answer in
seconds; for each of the first losses when and why. A request is lost that gets no whole answer:
refused, reset, cut, or silent for `PATIENCE` seconds.
"""

import errno
import json
import socket
import sys
import threading
import time

PATIENCE = 5.0
TOLD = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
ANSWER = b"ok\n"


class Account:
    """What became of one kind's requests; each is in exactly one of `answered` and `lost`."""

    def __init__(self):
        self.asked = self.answered = self.lost = 0
        self.longest = 0.0
        self.losses = []
        self.lock = threading.Lock()

    def carry_out(self, request, begun):
        """One request, and what became of it; whether it was answered."""
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

    def told(self):
        words = ("asked", "answered", "lost", "longest")
        return {word: getattr(self, word) for word in words} | {"losses": self.losses[:TOLD]}


def opened(address):
    """A new connection."""
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


def exchange(talker):
    """One request and its whole answer."""
    talker.sendall(REQUEST)
    got = b""
    while not got.endswith(ANSWER):
        part = talker.recv(4096)
        if not part:
            raise ConnectionResetError(errno.ECONNRESET, "closed by the other side")
        got += part


class Kept:
    """A connection that lasts; after a loss it is opened anew."""

    def __init__(self, address):
        self.address = address
        self.talker = None

    def __call__(self):
        talker, self.talker = self.talker, None
        talker = talker or opened(self.address)
        try:
            exchange(talker)
        except OSError:
            talker.close()
            raise
        self.talker = talker


class Opened:
    """A connection for each request."""

    def __init__(self, address):
        self.address = address

    def __call__(self):
        with opened(self.address) as talker:
            exchange(talker)


def main():
    host, port, *counts = sys.argv[1:]
    address = (host, int(port))
    accounts = {"kept": Account(), "opened": Account()}
    begun, stop = time.monotonic(), threading.Event()
    threads, first = [], []

    def go_on(account, request, answered):
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
    print(json.dumps({name: account.told() for name, account in accounts.items()}), flush=True)


if __name__ == "__main__":
    main()
