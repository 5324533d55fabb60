"""
Unsolicited neighbour advertisements for new IPv6 addresses.

The CNI plugins send gratuitous ARP for IPv4 addresses. Without the same for IPv6, a neighbour that still resolves
an address, or remembers the MAC of a pod that is gone, would not reach the new pod for seconds.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address

_ADVERTISEMENT = 136
_OVERRIDE = 1 << 29
_TARGET_LINK_LAYER_ADDRESS = 2
_SIOCGIFHWADDR = 0x8927
_ALL_NODES = "ff02::1"


def announce(device: str, addresses: Iterable[IPv6Address]) -> None:
    """
    Send every neighbour at `device` an unsolicited advertisement of each address.

    Source: RFC 4861, 4.4 and 7.2.6.
    """
    index = socket.if_nametoindex(device)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as speaker:
        speaker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        option = struct.pack("!BB6s", _TARGET_LINK_LAYER_ADDRESS, 1, hardware_address(device))
        for address in addresses:
            head = struct.pack("!BBHL", _ADVERTISEMENT, 0, 0, _OVERRIDE)  # the kernel fills in the checksum
            speaker.sendto(head + address.packed + option, (_ALL_NODES, 0, 0, index))


def hardware_address(device: str) -> bytes:
    """Return the MAC of a device of the namespace this process is in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("256s", device.encode()))
    return answer[18:24]
