"""
Open a connection every now and then, and write down what came of it: run by path, with the standard library alone.

    knocks.py RATE PATIENCE HOST:PORT ...

`RATE` times a second a connection is tried to one of the hosts, chosen by chance, for `PATIENCE`
seconds; what was missed while others had the processor is made up for. Prints `ready`, and at the end of
its input one JSON list: for each attempt when it began and ended (seconds of the monotonic clock), the
number of the host, and whether the connection stood. That is asked of the kernel: on a busy machine it
may stand long before this program is told.
"""

import json
import os
import random
import select
import socket
import struct
import sys
import time
from collections import deque

ESTABLISHED = 1
RESET_AT_ONCE = struct.pack("ii", 1, 0)


class Attempt:
    """One connection under way."""

    def __init__(self, number, address):
        self.number = number
        self.begun = time.monotonic()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        self.socket.connect_ex(address)

    def end(self):
        """When it was, with whom, and whether it stood."""
        stood = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
        self.socket.close()
        return self.begun, time.monotonic(), self.number, stood


class Knocker:
    """Attempts under way, by descriptor and in the order of their ends, and what came of the others."""

    def __init__(self, patience, addresses):
        self.patience, self.addresses = patience, addresses
        self.chance = random.Random(os.getpid())
        self.poll = select.epoll()
        self.open: dict[int, Attempt] = {}
        self.queue: deque[Attempt] = deque()
        self.found: list[tuple[float, float, int, bool]] = []

    def begin(self):
        """One attempt more."""
        number = self.chance.randrange(len(self.addresses))
        made = Attempt(number, self.addresses[number])
        self.open[made.socket.fileno()] = made
        self.queue.append(made)
        self.poll.register(made.socket, select.EPOLLOUT)

    def wait(self, until):
        """Take in what ends before the time `until`; whether the program's own input has ended."""
        if self.queue:
            until = min(until, self.queue[0].begun + self.patience)
        told = False
        for descriptor, _ in self.poll.poll(max(0.0, until - time.monotonic())):
            told = told or descriptor == sys.stdin.fileno()
            if descriptor in self.open:
                self.found.append(self.open.pop(descriptor).end())
        now = time.monotonic()
        while self.queue and (self.queue[0].socket.fileno() < 0 or self.queue[0].begun + self.patience <= now):
            late = self.queue.popleft()
            if late.socket.fileno() >= 0:
                del self.open[late.socket.fileno()]
                self.found.append(late.end())
        return told


def main():
    rate, patience, *targets = sys.argv[1:]
    pairs = (target.rpartition(":") for target in targets)
    knocker = Knocker(float(patience), [(host, int(port)) for host, _, port in pairs])
    knocker.poll.register(sys.stdin, select.EPOLLHUP | select.EPOLLIN)
    print("ready", flush=True)
    due, told = time.monotonic(), False
    while not told:
        while due <= time.monotonic():
            knocker.begin()
            due += 1 / float(rate)
        told = knocker.wait(due)
    knocker.poll.unregister(sys.stdin)
    while knocker.open:
        knocker.wait(float("inf"))
    print(json.dumps(knocker.found), flush=True)


if __name__ == "__main__":
    main()
