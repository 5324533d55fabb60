"""
Packets, written: Ethernet frames of both families with every checksum right.

Whatever stands in a header can be chosen; what is not chosen is what a plain stack would send.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, TypedDict, Unpack

IPAddress = IPv4Address | IPv6Address

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
HOP_OPTIONS, ICMP, TCP, UDP, FRAGMENT, ICMPV6, DESTINATION, SCTP = 0, 1, 6, 17, 44, 58, 60, 132

SENDER_MAC = bytes.fromhex("02000000aa01")
RECEIVER_MAC = bytes.fromhex("02000000bb01")


class End(NamedTuple):
    """One end of a connection."""

    address: IPAddress
    port: int = 0

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def end(address: str, port: int = 0) -> End:
    """An end, its address spelled out."""
    return End(ip_address(address), port)


def checksum(data: bytes) -> int:
    """The internet checksum of RFC 1071; 0 over data that holds its own."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(src: IPAddress, dst: IPAddress, protocol: int, length: int) -> bytes:
    """What a transport checksum covers beside the transport. Source: RFC 9293, RFC 8200."""
    numbers = (
        struct.pack("!BBH", 0, protocol, length) if src.version == 4 else struct.pack("!II", length, protocol)
    )
    return src.packed + dst.packed + numbers


class Fragment(NamedTuple):
    """Where a fragment belongs: offset in units of 8 bytes, and whether more follow."""

    offset: int
    more: bool


WHOLE = Fragment(0, more=False)
Extension = tuple[int, bytes]
"""A v6 extension header: its number, and its bytes without the first, which says what follows."""


class Fields(TypedDict, total=False):
    """What can be chosen of an IP header."""

    ttl: int
    options: bytes
    """Of IPv4."""
    extensions: Sequence[Extension]
    """Of IPv6."""
    fragment: Fragment


def frame(src: IPAddress, dst: IPAddress, protocol: int, body: bytes, **ip: Unpack[Fields]) -> bytes:
    """An Ethernet frame that holds an IP packet."""
    macs = RECEIVER_MAC + SENDER_MAC
    ttl, fragment = ip.get("ttl", 64), ip.get("fragment", WHOLE)
    if src.version == 4:
        options = ip.get("options", b"")
        word = fragment.offset | (0x2000 if fragment.more else 0)
        fields = (0x45 + len(options) // 4, 0, 20 + len(options) + len(body), 7, word, ttl, protocol)
        head = struct.pack("!BBHHHBB", *fields)
        rest = src.packed + dst.packed + options
        return macs + b"\x08\x00" + head + struct.pack("!H", checksum(head + rest)) + rest + body
    chain = list(ip.get("extensions", ()))
    if fragment != WHOLE:
        chain.append((FRAGMENT, struct.pack("!xHI", fragment.offset << 3 | fragment.more, 7)))
    numbers = [number for number, _ in chain] + [protocol]
    inner = b"".join(bytes((following,)) + rest for (_, rest), following in zip(chain, numbers[1:], strict=True))
    head = struct.pack("!IHBB", 6 << 28, len(inner) + len(body), numbers[0], ttl)
    return macs + b"\x86\xdd" + head + src.packed + dst.packed + inner + body


def _summed(src: IPAddress, dst: IPAddress, protocol: int, segment: bytes, at: int) -> bytes:
    total = checksum(pseudo_header(src, dst, protocol, len(segment)) + segment)
    return segment[:at] + struct.pack("!H", total or (0xFFFF if protocol == UDP else 0)) + segment[at + 2 :]


def tcp(
    src: End,
    dst: End,
    flags: int = SYN,
    data: bytes = b"",
    *,
    numbers: tuple[int, int] = (1, 0),
    **ip: Unpack[Fields],
) -> bytes:
    """A TCP segment; `numbers` are its own and the one that it acknowledges."""
    head = struct.pack("!HHIIBBHHH", src.port, dst.port, *numbers, 0x50, flags, 0xFFFF, 0, 0)
    body = _summed(src.address, dst.address, TCP, head + data, 16)
    return frame(src.address, dst.address, TCP, body, **ip)


def udp(src: End, dst: End, data: bytes = b"hello", *, summed: bool = True, **ip: Unpack[Fields]) -> bytes:
    """A UDP datagram; not `summed` leaves its checksum 0."""
    body = struct.pack("!HHHH", src.port, dst.port, 8 + len(data), 0) + data
    if summed:
        body = _summed(src.address, dst.address, UDP, body, 6)
    return frame(src.address, dst.address, UDP, body, **ip)


def sctp(src: End, dst: End, chunk: int = 1, **ip: Unpack[Fields]) -> bytes:
    """An SCTP common header with an empty chunk, INIT if not said otherwise; nobody here looks at its CRC."""
    body = struct.pack("!HHIIBBH", src.port, dst.port, 0, 0, chunk, 0, 4)
    return frame(src.address, dst.address, SCTP, body, **ip)


def icmp(src: IPAddress, dst: IPAddress, kind: int, code: int, rest: bytes, **ip: Unpack[Fields]) -> bytes:
    """An ICMP or ICMPv6 message; `rest` is what follows its checksum."""
    body = struct.pack("!BBH", kind, code, 0) + rest
    if src.version == 6:
        return frame(src, dst, ICMPV6, _summed(src, dst, ICMPV6, body, 2), **ip)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return frame(src, dst, ICMP, body, **ip)


def echo(
    src: IPAddress, dst: IPAddress, *, identifier: int = 77, reply: bool = False, **ip: Unpack[Fields]
) -> bytes:
    """An echo request, or its reply."""
    kinds = (8, 0) if src.version == 4 else (128, 129)
    return icmp(src, dst, kinds[reply], 0, struct.pack("!HH", identifier, 1) + b"ping", **ip)


def unreachable(src: IPAddress, dst: IPAddress, cause: bytes, *, length: int = 28) -> bytes:
    """A port unreachable from `src` that quotes the frame `cause` without its Ethernet header."""
    kind, code = (3, 3) if src.version == 4 else (1, 4)
    quote = cause[14 : 14 + length + (20 if src.version == 6 else 0)]
    return icmp(src, dst, kind, code, bytes(4) + quote)


def arp(sender: IPAddress, target: IPAddress, *, reply: bool = False, mac: bytes = SENDER_MAC) -> bytes:
    """A question who has `target`, or its answer, which tells `target` who `sender` is."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2 if reply else 1)
    to = RECEIVER_MAC if reply else b"\xff" * 6
    return to + SENDER_MAC + b"\x08\x06" + head + mac + sender.packed + bytes(6) + target.packed


def neighbour(src: IPAddress, dst: IPAddress, kind: int, target: IPAddress, options: bytes = b"") -> bytes:
    """A neighbour solicitation (135) or advertisement (136)."""
    return icmp(src, dst, kind, 0, bytes(4) + target.packed + options, ttl=255)
