"""
Print which marked payloads reach a place, and which SYN-ACKs and resets.

    hear.py udp PORT UNTIL...     what a plain UDP socket receives
    hear.py ip UNTIL...           what raw IP sockets receive: packets that passed every hook
    hear.py frames UNTIL...       what a device receives, before its own hooks

A marked payload is `<TEXT>`. Prints `ready` once it listens. After its input has ended, it listens until it has
heard every UNTIL or its patience is over, and prints a JSON list of all that it heard. TCP segments are listed as
`syn-ack PORT` and `reset PORT`, with their destination port. Run by path in a place of the lab, with the standard
library alone.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from typing import TextIO

_MARK = re.compile(rb"<([\w .-]+)>")
_PROTOCOLS = (2, 4, 6, 17, 41, 47, 50, 51, 89, 103, 112, 115, 132, 136, 137, 253)
_PATIENCE, _ECHO = 5.0, 0.3
_SYN, _RST, _ACK = 0x02, 0x04, 0x10


def ears(how: str, port: int) -> list[socket.socket]:
    """The sockets for one of the three ways."""
    if how == "frames":
        return [socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))]
    if how == "ip":
        families = socket.AF_INET, socket.AF_INET6
        return [socket.socket(family, socket.SOCK_RAW, number) for family in families for number in _PROTOCOLS]
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("::", port))
    return [made]


def heard_in(data: bytes, sender: tuple[object, ...], *, frames: bool) -> set[str]:
    """The words to list for one packet."""
    if frames and (sender[2] == socket.PACKET_OUTGOING or sender[0] == "lo"):
        return set()
    words = {found.decode() for found in _MARK.findall(data)}
    if frames:
        words |= _segment(data)
    return words


def _segment(packet: bytes) -> set[str]:
    version = packet[0] >> 4 if packet else 0
    at = 40 if version == 6 else (packet[0] & 0xF) * 4 if version == 4 else 0
    protocol = packet[6] if version == 6 else packet[9] if version == 4 else 0
    if protocol != socket.IPPROTO_TCP or len(packet) < at + 20:
        return set()
    port, flags = int.from_bytes(packet[at + 2 : at + 4], "big"), packet[at + 13]
    if flags & _RST:
        return {f"reset {port}"}
    return {f"syn-ack {port}"} if flags & (_SYN | _ACK) == _SYN | _ACK else set()


def main() -> None:
    """Listen until the input has ended, and every UNTIL has been heard or the patience is over."""
    how, *words = sys.argv[1:]
    port = int(words.pop(0)) if how == "udp" else 0
    open_, until = ears(how, port), set(words)
    print("ready", flush=True)
    heard: set[str] = set()
    ends: float | None = None
    watched: Sequence[socket.socket | TextIO] = [*open_, sys.stdin]
    while ends is None or time.monotonic() < ends:
        left = None if ends is None else max(0.0, ends - time.monotonic())
        for each in select.select(watched, [], [], left)[0]:
            if not isinstance(each, socket.socket):
                watched, ends = open_, time.monotonic() + (_ECHO if until <= heard else _PATIENCE)
                continue
            data, sender = each.recvfrom(65536)
            new = heard_in(data, sender, frames=how == "frames") - heard
            heard |= new
            if ends is not None and new & until and until <= heard:
                ends = time.monotonic() + _ECHO
    print(json.dumps(sorted(heard)), flush=True)


if __name__ == "__main__":
    main()
