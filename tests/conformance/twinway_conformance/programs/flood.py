"""
Open very many flows, each to another port or address, and print their number.

    flood.py udp COUNT SOURCE TARGET        datagrams of one UDP socket, without privileges
    flood.py syn COUNT SOURCE TARGET HOP    SYNs with forged source ports, through a packet socket

TARGET is the first of the target addresses, HOP the MAC address of the next hop. The program changes its processor
from block to block, because tables may keep the entries of each processor apart. Run by path in a place of the
lab, with the standard library alone.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Callable

_BLOCK, _PORTS, _FIRST = 4000, 60000, 1024
_NOBODY = 65534
_DEVICE = "eth0"
_SYN, _TCP = 0x02, 6


def datagrams(source: str, target: str) -> Callable[[int], None]:
    """A function that sends the n-th flow: a datagram to the n-th port, counted on to the next address."""
    os.setuid(_NOBODY)
    out = socket.socket(_family(target), socket.SOCK_DGRAM)
    out.bind((source, 0))
    first = ipaddress.ip_address(target)
    addresses = [str(first + step) for step in range(64)]

    def send(number: int) -> None:
        out.sendto(b"x", (addresses[number // _PORTS], _FIRST + number % _PORTS))

    return send


def beginnings(source: str, target: str, hop: str) -> Callable[[int], None]:
    """A function that sends the n-th flow: a SYN from the n-th port, counted on to the target's next port."""
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.bind((_DEVICE, 0))
    own = out.getsockname()[4]
    head = bytes.fromhex(hop.replace(":", "")) + own + _header(source, target)
    pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    summed = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo)) + _TCP + 20

    def send(number: int) -> None:
        ports = _FIRST + number % _PORTS, 80 + number // _PORTS
        total = summed + sum(ports) + (0x5000 | _SYN) + 0xFFFF + 1
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        out.send(head + struct.pack("!HHIIBBHHH", *ports, 1, 0, 0x50, _SYN, 0xFFFF, ~total & 0xFFFF, 0))

    return send


def _header(source: str, target: str) -> bytes:
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    if len(ends) == 32:
        return struct.pack("!HIHBB", 0x86DD, 6 << 28, 20, _TCP, 64) + ends
    bare = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, _TCP, 0) + ends
    total = sum(struct.unpack("!10H", bare))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", 0x0800) + bare[:10] + struct.pack("!H", ~total & 0xFFFF) + bare[12:]


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def main() -> None:
    """Send all flows. A send may fail when a hook drops the packet; that is no error here."""
    kind, count, source, target, *hop = sys.argv[1:]
    send = datagrams(source, target) if kind == "udp" else beginnings(source, target, *hop)
    processors, sent = sorted(os.sched_getaffinity(0)), 0
    for index, block in enumerate(range(0, int(count), _BLOCK)):
        os.sched_setaffinity(0, {processors[index % len(processors)]})
        for number in range(block, min(block + _BLOCK, int(count))):
            with contextlib.suppress(OSError):
                send(number)
                sent += 1
    print(sent)


if __name__ == "__main__":
    main()
