"""
Open connections at a given rate, and report whether each was established.

    attempts.py RATE PATIENCE HOST:PORT ...

The program runs by path with the standard library alone. It tries `RATE` connections a second, each to a
host chosen at random, and waits up to `PATIENCE` seconds for each; it makes up for attempts that it missed
while others had the processor. It prints `ready`, and at the end of its input one JSON list: for each
attempt when it began and ended (seconds of the monotonic clock), the number of the host, and whether the
connection was established. The kernel says so: on a busy machine this program may hear of it much later.
"""

from __future__ import annotations

import json
import os
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence

ESTABLISHED = 1
Address = tuple[str, int]
Result = tuple[float, float, int, bool]

RESET_AT_ONCE = struct.pack("ii", 1, 0)


class Attempt:
    """One connection attempt."""

    def __init__(self, number: int, address: Address) -> None:
        self.number = number
        self.begun = time.monotonic()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        self.socket.connect_ex(address)

    def end(self) -> Result:
        """Close the socket; returns when the attempt began and ended, the host, and whether it succeeded."""
        established = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
        self.socket.close()
        return self.begun, time.monotonic(), self.number, established


class Attempts:
    """Attempts in progress, by descriptor and in the order of their deadlines, and the results of the others."""

    def __init__(self, patience: float, addresses: Sequence[Address]) -> None:
        self.patience, self.addresses = patience, addresses
        self.chance = random.Random(os.getpid())
        self.poll = select.epoll()
        self.open: dict[int, Attempt] = {}
        self.queue: deque[Attempt] = deque()
        self.found: list[Result] = []

    def begin(self) -> None:
        """Start one more attempt."""
        number = self.chance.randrange(len(self.addresses))
        made = Attempt(number, self.addresses[number])
        self.open[made.socket.fileno()] = made
        self.queue.append(made)
        self.poll.register(made.socket, select.EPOLLOUT)

    def wait(self, until: float) -> bool:
        """Collect attempts that end before the time `until`; returns whether the program's input has ended."""
        if self.queue:
            until = min(until, self.queue[0].begun + self.patience)
        ended = False
        for descriptor, _ in self.poll.poll(max(0.0, until - time.monotonic())):
            ended = ended or descriptor == sys.stdin.fileno()
            if descriptor in self.open:
                self.found.append(self.open.pop(descriptor).end())
        now = time.monotonic()
        while self.queue and (self.queue[0].socket.fileno() < 0 or self.queue[0].begun + self.patience <= now):
            late = self.queue.popleft()
            if late.socket.fileno() >= 0:
                del self.open[late.socket.fileno()]
                self.found.append(late.end())
        return ended


def main() -> None:
    """Make attempts until the input ends."""
    rate, patience, *targets = sys.argv[1:]
    pairs = (target.rpartition(":") for target in targets)
    attempts = Attempts(float(patience), [(host, int(port)) for host, _, port in pairs])
    attempts.poll.register(sys.stdin, select.EPOLLHUP | select.EPOLLIN)
    print("ready", flush=True)
    due, ended = time.monotonic(), False
    while not ended:
        while due <= time.monotonic():
            attempts.begin()
            due += 1 / float(rate)
        ended = attempts.wait(due)
    attempts.poll.unregister(sys.stdin)
    while attempts.open:
        attempts.wait(float("inf"))
    print(json.dumps(attempts.found), flush=True)


if __name__ == "__main__":
    main()
