"""
Count packets that leave this namespace for an address, on any device.

    sniff.py ADDRESS

Prints `ready` once it listens, and the number when its input ends. It counts outgoing packets alone: a packet that
a pod's device hands to its node has not left the node.
Run by path in a node's namespace, with the standard library alone.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import sys

_ALL = 0x0003
_OFFSETS = {4: (0x0800, 16, 20), 6: (0x86DD, 24, 40)}


def main() -> None:
    """Count until the input ends."""
    wanted = ipaddress.ip_address(sys.argv[1])
    ethertype, start, end = _OFFSETS[wanted.version]
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
    print("ready", flush=True)
    seen = 0
    while True:
        readable, _, _ = select.select([tap, sys.stdin], [], [])
        if tap in readable:
            packet, (_, protocol, kind, *_) = tap.recvfrom(128)
            outgoing = kind == socket.PACKET_OUTGOING
            seen += outgoing and protocol == ethertype and packet[start:end] == wanted.packed
        elif not sys.stdin.readline():
            break
    print(seen, flush=True)


if __name__ == "__main__":
    main()
