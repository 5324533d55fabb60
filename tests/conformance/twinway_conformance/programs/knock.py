"""
Knock at ADDRESS PORT over TCP without pause, and count how often somebody opens.

    knock.py ADDRESS PORT

Prints `ready` at once; at the end of its input it stops and prints one JSON object: tries, and how
many of them connected. For doors that must never open, not for a moment.
Run by path in a pod's namespace, with the standard library alone.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

_AT_ONCE = 4
_PATIENCE = 0.3  # below the first retry of TCP: each try is one SYN of its own


class Tally:
    """Tries and openings, counted by all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tries = 0
        self.opened = 0
        self.stop = threading.Event()


def knock(address: tuple[str, int], tally: Tally) -> None:
    """Try until told to stop."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    while not tally.stop.wait(0.005):
        with socket.socket(family, socket.SOCK_STREAM) as knocker:
            knocker.settimeout(_PATIENCE)
            opened = knocker.connect_ex(address) == 0
        with tally.lock:
            tally.tries += 1
            tally.opened += opened


def main() -> None:
    """Knock until the input ends."""
    address = (sys.argv[1], int(sys.argv[2]))
    tally = Tally()
    threads = [threading.Thread(target=knock, args=(address, tally), daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    tally.stop.set()
    for thread in threads:
        thread.join(2 * _PATIENCE)
    print(json.dumps({"tries": tally.tries, "opened": tally.opened}), flush=True)


if __name__ == "__main__":
    main()
