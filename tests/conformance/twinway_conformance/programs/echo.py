"""
Send back every UDP datagram that a device of this place receives, whatever its address.

Prints `ready` once it listens, and the number of answers when its input ends. Source and destination are swapped,
so no checksum changes. Run by path in a place of the lab, with the standard library alone.
"""

from __future__ import annotations

import select
import socket
import sys

_ALL, _IPV4, _IPV6, _UDP = 0x0003, 0x0800, 0x86DD, 17
_ROOM = 64 << 20
_RCVBUFFORCE = 33
_FIRST = 1024


def answer(frame: bytes) -> bytes | None:
    """The answer to a frame, or None if it needs none."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == _IPV4 and frame[14] == 0x45 and frame[23] == _UDP:
        start, size = 26, 4
    elif kind == _IPV6 and frame[20] == _UDP:
        start, size = 22, 16
    else:
        return None
    middle, end = start + size, start + 2 * size
    if int.from_bytes(frame[end + 2 : end + 4], "big") < _FIRST:
        return None
    ends = frame[middle:end] + frame[start:middle] + frame[end + 2 : end + 4] + frame[end : end + 2]
    return frame[6:12] + frame[:6] + frame[12:start] + ends + frame[end + 4 :]


def main() -> None:
    """Answer until the input ends."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    tap.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _ROOM)
    print("ready", flush=True)
    answered = 0
    while True:
        readable, _, _ = select.select([tap, sys.stdin], [], [])
        if tap in readable:
            frame, (device, _, kind, *_) = tap.recvfrom(2048)
            back = answer(frame) if kind == socket.PACKET_HOST and device != "lo" else None
            if back is not None:
                tap.sendto(back, (device, 0))
                answered += 1
        elif not sys.stdin.readline():
            break
    print(answered, flush=True)


if __name__ == "__main__":
    main()
