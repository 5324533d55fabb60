"""
Count IP packets on one device, by their pair of addresses.

    ip netns exec NETNS wire.py DEVICE

Prints `ready` once it listens, and {"ADDRESS ADDRESS": packets} when its input ends. Both directions of a pair
count as one, and its addresses are sorted as text. Uses the standard library alone.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from collections import Counter
from ipaddress import ip_address

_ALL = 0x0003
_ADDRESSES = {0x0800: (12, 4), 0x86DD: (8, 16)}


def main() -> None:
    """Listen until the input ends."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
    tap.bind((sys.argv[1], _ALL))
    print("ready", flush=True)
    print(json.dumps(counted(tap)), flush=True)


def counted(tap: socket.socket) -> Counter[str]:
    """Packets by pair, until the input has ended and no packet waits to be read."""
    seen: Counter[str] = Counter()
    while True:
        readable, _, _ = select.select([tap, sys.stdin], [], [])
        if tap not in readable:
            return seen
        packet, (_, protocol, *_) = tap.recvfrom(64)
        if protocol in _ADDRESSES:
            first, size = _ADDRESSES[protocol]
            ends = (packet[first + size * end : first + size * (end + 1)] for end in range(2))
            seen[" ".join(sorted(str(ip_address(end)) for end in ends))] += 1


if __name__ == "__main__":
    main()
