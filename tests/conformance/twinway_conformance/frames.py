"""Packets built byte by byte, as a pod with CAP_NET_RAW or a host of the network can send them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ICMP, IGMP, IPIP, TCP, UDP, IPV6, GRE, ESP, AH, ICMPV6, SCTP, UDPLITE = (
    1,
    2,
    4,
    6,
    17,
    41,
    47,
    50,
    51,
    58,
    132,
    136,
)
MORE_FRAGMENTS = 0x2000
"""A flag of the IPv4 fragment field. Source: RFC 791."""
LINK_HOP_LIMIT = 255
"""The hop limit of neighbour discovery. Source: RFC 4861, 6.1 and 7.1."""


def marked(text: str) -> bytes:
    """A payload that `programs/hear.py` recognises in any packet."""
    return b"<" + text.encode() + b">"


def checksum(data: bytes) -> int:
    """The Internet checksum. Source: RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(
    source: str, target: str, protocol: int, body: bytes, *, hops: int = 64, fragment: int = 0, ident: int = 0x5477
) -> bytes:
    """A packet of the addresses' IP version. `fragment` is IPv4's field of flags and offset, in host order."""
    ends = ip_address(source).packed + ip_address(target).packed
    if len(ends) == 32:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, hops) + ends + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ident, fragment, hops, protocol, 0) + ends
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def fragment6(source: str, target: str, protocol: int, body: bytes, *, offset: int, more: bool) -> bytes:
    """One IPv6 fragment; `offset` is in bytes, a multiple of 8. Source: RFC 8200, 4.5."""
    head = struct.pack("!BBHI", protocol, 0, offset | more, 0x5477)
    return ip(source, target, 44, head + body)


def udp(source: str, source_port: int, target: str, target_port: int, data: bytes) -> bytes:
    """A UDP datagram with a valid checksum, without the IP header."""
    body = struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0) + data
    sum_ = checksum(_pseudo(source, target, UDP, len(body)) + body) or 0xFFFF
    return body[:6] + struct.pack("!H", sum_) + data


def tcp(  # noqa: PLR0917 (the ends of a segment, in their order on the wire)
    source: str, source_port: int, target: str, target_port: int, flags: int, data: bytes = b"", *, number: int = 1
) -> bytes:
    """A TCP segment with a valid checksum, without the IP header; `number` is its sequence number."""
    body = struct.pack("!HHIIBBHHH", source_port, target_port, number, 0, 0x50, flags, 65535, 0, 0) + data
    sum_ = checksum(_pseudo(source, target, TCP, len(body)) + body)
    return body[:16] + struct.pack("!H", sum_) + body[18:]


def icmp_error(source: str, target: str, quoted: bytes) -> bytes:
    """A whole packet: ICMP's host unreachable or ICMPv6's address unreachable, which quotes a packet."""
    if ":" in source:
        return ip(source, target, ICMPV6, _icmp6(source, target, struct.pack("!BBHI", 1, 3, 0, 0) + quoted))
    body = struct.pack("!BBHI", 3, 1, 0, 0) + quoted
    return ip(source, target, ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def echo_reply(source: str, target: str, data: bytes) -> bytes:
    """A whole packet: an echo reply that no request preceded."""
    if ":" in source:
        return ip(source, target, ICMPV6, _icmp6(source, target, struct.pack("!BBHHH", 129, 0, 0, 7, 1) + data))
    body = struct.pack("!BBHHH", 0, 0, 0, 7, 1) + data
    return ip(source, target, ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def neighbour_advertisement(source: str, target: str, data: bytes) -> bytes:
    """A whole packet: a neighbour advertisement, with `data` after its options. Source: RFC 4861, 4.4."""
    body = struct.pack("!BBHI", 136, 0, 0, 0) + ip_address(source).packed + data
    return ip(source, target, ICMPV6, _icmp6(source, target, body), hops=LINK_HOP_LIMIT)


def _icmp6(source: str, target: str, body: bytes) -> bytes:
    sum_ = checksum(_pseudo(source, target, ICMPV6, len(body)) + body)
    return body[:2] + struct.pack("!H", sum_) + body[4:]


def _pseudo(source: str, target: str, protocol: int, length: int) -> bytes:
    ends = ip_address(source).packed + ip_address(target).packed
    return ends + (
        struct.pack("!II", length, protocol) if len(ends) == 32 else struct.pack("!HH", protocol, length)
    )
