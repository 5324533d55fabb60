"""
Attempt TCP connections to ADDRESS PORT without pause, and count how many are established.

    attempt.py ADDRESS PORT

Prints `ready` at once; at the end of its input it stops and prints one JSON object: attempts, and how many of
them connected. For addresses that must never answer, not for a moment.
Run by path in a pod's namespace, with the standard library alone.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

_AT_ONCE = 4
_PATIENCE = 0.3  # below TCP's first retransmission: each attempt is one SYN


class Tally:
    """The counts of all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.attempts = 0
        self.connected = 0
        self.stop = threading.Event()


def attempt(address: tuple[str, int], tally: Tally) -> None:
    """Attempt connections until `tally.stop` is set."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    while not tally.stop.wait(0.005):
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(_PATIENCE)
            connected = client.connect_ex(address) == 0
        with tally.lock:
            tally.attempts += 1
            tally.connected += connected


def main() -> None:
    """Attempt connections until the input ends."""
    address = (sys.argv[1], int(sys.argv[2]))
    tally = Tally()
    threads = [threading.Thread(target=attempt, args=(address, tally), daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    tally.stop.set()
    for thread in threads:
        thread.join(2 * _PATIENCE)
    print(json.dumps({"attempts": tally.attempts, "connected": tally.connected}), flush=True)


if __name__ == "__main__":
    main()
