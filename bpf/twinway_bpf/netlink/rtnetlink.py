"""
Devices, addresses and routes of a network namespace, read from the kernel.

A hundred lines, and not a library: what libraries for this import is a quarter of an agent's start
and of its memory. Source: include/uapi/linux/{rtnetlink,if_link,if_addr}.h.
"""

from __future__ import annotations

import errno
import struct
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address

from twinway.model.net import IPAddress
from twinway_bpf.netlink.netlink import ACK, DUMP, Netlink, attribute, attributes

_NETLINK_ROUTE = 0
_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26  # RTM_*
_LOOPBACK = 0x8  # IFF_LOOPBACK
_UNICAST = 1  # RTN_UNICAST
_LINK_MAC, _LINK_NAME, _LINK_LINK, _LINK_INFO, _INFO_KIND = 1, 3, 5, 18, 1  # IFLA_*
_LINK_NETNSID = 37
_ADDRESS, _LOCAL = 1, 2  # IFA_*
_OIF = 4  # RTA_OIF

_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
_IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=8BI")  # family, both lengths, TOS, table, protocol, scope, type; flags
_INT = struct.Struct("=I")
_SIGNED = struct.Struct("=i")
_NO_NETNS = _SIGNED.pack(-1)


@dataclass(frozen=True, slots=True)
class Link:
    """One device, in the words of `struct ifinfomsg`."""

    name: str
    ifindex: int
    kind: str
    """veth, macvlan, ipvlan, …; empty for a physical one."""
    mac: bytes
    link: int
    """Peer of a veth, parent of a macvlan or ipvlan: an index in that device's namespace; 0: none."""
    loopback: bool
    netns: int = -1
    """Where `link` is, as this namespace numbers that one; below 0: it is the same, or has no number."""


def links() -> tuple[Link, ...]:
    """Every device of this thread's namespace."""
    return tuple(_link(body) for body in _ask(_GETLINK, DUMP, _IFINFO.pack(0, 0, 0, 0, 0)))


def link(*, name: str = "", index: int = 0) -> Link | None:
    """The device of that index, or else name; None where there is none. Raises OSError for other reasons."""
    asked = b"" if index else attribute(_LINK_NAME, name.encode() + b"\0")
    try:
        (body,) = _ask(_GETLINK, ACK, _IFINFO.pack(0, 0, index, 0, 0) + asked)
    except OSError as error:
        # EINVAL, ERANGE: what cannot be a device's name is no device's
        if error.errno in (errno.ENODEV, errno.EINVAL, errno.ERANGE):
            return None
        raise
    return _link(body)


def addresses() -> tuple[tuple[int, IPAddress], ...]:
    """(index of the device, address) of every address of this thread's namespace."""
    found = []
    for body in _ask(_GETADDR, DUMP, _IFADDR.pack(0, 0, 0, 0, 0)):
        *_, index = _IFADDR.unpack_from(body)
        words = dict(attributes(body[_IFADDR.size :]))
        if value := words.get(_LOCAL) or words.get(_ADDRESS):
            found.append((index, ip_address(value)))
    return tuple(found)


def default_routes() -> frozenset[int]:
    """Indices of the devices that default routes lead out of, in any table."""
    found = set()
    for body in _ask(_GETROUTE, DUMP, _ROUTE.pack(*[0] * 9)):
        _, length, *_, kind, _ = _ROUTE.unpack_from(body)
        out = dict(attributes(body[_ROUTE.size :])).get(_OIF)
        if not length and kind == _UNICAST and out:
            found.add(_INT.unpack(out)[0])
    return frozenset(found)


def _ask(kind: int, flags: int, request: bytes) -> list[bytes]:
    with closing(Netlink(_NETLINK_ROUTE)) as netlink:
        return netlink.ask(kind, flags, request)


def _link(body: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(body)
    words = dict(attributes(body[_IFINFO.size :]))
    info = dict(attributes(words.get(_LINK_INFO, b"")))
    return Link(
        _text(words[_LINK_NAME]),
        index,
        _text(info.get(_INFO_KIND, b"")),
        words.get(_LINK_MAC, bytes(6)),
        _INT.unpack(words.get(_LINK_LINK, bytes(4)))[0],
        bool(flags & _LOOPBACK),
        _SIGNED.unpack(words.get(_LINK_NETNSID, _NO_NETNS))[0],
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()
