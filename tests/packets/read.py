"""Packets, read: who, to whom, and which checksum is wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from twinway_testing.frames import (
    DESTINATION,
    FRAGMENT,
    HOP_OPTIONS,
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    End,
    IPAddress,
    checksum,
    pseudo_header,
)

_ERRORS = {ICMP: (3, 11, 12), ICMPV6: (1, 2, 3, 4)}
_SUM_AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}


@dataclass(frozen=True, slots=True)
class Seen:
    """One IP packet as its receiver reads it."""

    src: End
    dst: End
    protocol: int
    ttl: int
    body: bytes
    """The transport: header and data."""
    faults: tuple[str, ...]
    """Checksums that are wrong, its own and those of what it quotes."""
    quoted: Seen | None = None
    """What an ICMP error speaks of."""

    @property
    def checksum(self) -> int:
        """The transport's checksum as it stands there."""
        at = _SUM_AT[self.protocol]
        return int.from_bytes(self.body[at : at + 2], "big")

    @property
    def icmp(self) -> tuple[int, int]:
        """Type and code."""
        return self.body[0], self.body[1]


def macs(packet: bytes) -> tuple[bytes, bytes]:
    """Destination and source of a frame."""
    return packet[:6], packet[6:12]


def read(packet: bytes) -> Seen:
    """A whole frame."""
    return read_ip(packet[14:])


def read_ip(data: bytes, *, is_quote: bool = False) -> Seen:
    """An IP packet, or the beginning of one that a message quotes: that has no whole transport to sum."""
    src, dst, protocol, ttl, at, is_fragment = _head4(data) if data[0] >> 4 == 4 else _head6(data)
    body = data[at:] if is_quote else data[at : _length(data)]
    faults = []
    if src.version == 4 and checksum(data[: (data[0] & 0xF) * 4]):
        faults.append("IPv4 header")
    if not is_quote and len(data) != _length(data):
        faults.append(f"length {len(data)}, the header says {_length(data)}")
    if not is_quote and not is_fragment and not _sums(src, dst, protocol, body):
        faults.append(f"transport {protocol}")
    quoted = read_ip(body[8:], is_quote=True) if not is_fragment and _is_error(protocol, body) else None
    if quoted:
        faults += [f"quoted {fault}" for fault in quoted.faults]
    ports = (0, 0)
    if protocol in (TCP, UDP, SCTP) and not is_fragment:
        ports = struct.unpack_from("!HH", body)
    return Seen(End(src, ports[0]), End(dst, ports[1]), protocol, ttl, body, tuple(faults), quoted)


_Head = tuple[IPAddress, IPAddress, int, int, int, bool]


def _head4(data: bytes) -> _Head:
    word, ttl, protocol = struct.unpack_from("!HBB", data, 6)
    src, dst = ip_address(data[12:16]), ip_address(data[16:20])
    return src, dst, protocol, ttl, (data[0] & 0xF) * 4, bool(word & 0x3FFF)


def _head6(data: bytes) -> _Head:
    following, ttl, at, is_fragment = data[6], data[7], 40, False
    while following in (HOP_OPTIONS, DESTINATION, FRAGMENT):
        is_fragment |= following == FRAGMENT and data[at + 2 : at + 4] != bytes(2)
        length = 8 if following == FRAGMENT else (data[at + 1] + 1) * 8
        following, at = data[at], at + length
    return ip_address(data[8:24]), ip_address(data[24:40]), following, ttl, at, is_fragment


def _length(data: bytes) -> int:
    if data[0] >> 4 == 4:
        return int.from_bytes(data[2:4], "big")
    return 40 + int.from_bytes(data[4:6], "big")


def _is_error(protocol: int, body: bytes) -> bool:
    return protocol in _ERRORS and body[0] in _ERRORS[protocol]


def _sums(src: IPAddress, dst: IPAddress, protocol: int, body: bytes) -> bool:
    if protocol not in _SUM_AT:
        return True
    if protocol == ICMP:
        return checksum(body) == 0
    if protocol == UDP and body[6:8] == bytes(2):
        return src.version == 4
    return checksum(pseudo_header(src, dst, protocol, len(body)) + body) == 0
