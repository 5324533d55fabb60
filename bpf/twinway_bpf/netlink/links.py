"""Devices, addresses and routes of a network namespace, read from the kernel by pyroute2."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twinway.model.net import IPAddress
from twinway_bpf.netlink import netns

# Source: include/uapi/linux/{if_arp,netlink,rtnetlink}.h
_ARPHRD_ETHER = 1
_NLM_F_DUMP_INTR = 0x10
_RTN_UNICAST = 1
_NO_SUCH_DEVICE = (errno.ENODEV, errno.EINVAL, errno.ERANGE)
"""The last two answer a name that no device can have."""

Message = Any
"""A message of pyroute2's: `message["index"]` is a field of its struct, `message.get("ifname")` an attribute."""


@dataclass(frozen=True, slots=True)
class Link:
    """One device, in the words of `struct ifinfomsg`."""

    name: str
    ifindex: int
    kind: str
    """veth, macvlan, ipvlan, …; empty for a physical one."""
    mac: bytes
    """All zero where the device has none."""
    link: int
    """Peer of a veth, parent of a macvlan or ipvlan: an index in that device's namespace; 0: none."""
    netns: int = -1
    """The id by which this namespace knows the one that `link` is in; below 0: this one, or one without an id."""


class Links(netns.NamespaceSocket):
    """
    The devices of the network namespace that this thread is in when it opens this.

    The thread may be in another namespace when it asks; another thread must open its own.
    """

    def __init__(self) -> None:
        # pyroute2 costs 20 MB and a tenth of a second: only a process that asks for devices pays them
        from pyroute2 import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError

        self._route: Any = IPRoute(groups=0)
        self._refused = NetlinkError

    def close(self) -> None:
        """Close the socket."""
        self._route.close()

    def link(self, *, name: str = "", index: int = 0) -> Link | None:
        """Return the device of that index, or else name; None where there is none. Raises OSError otherwise."""
        key = {"index": index} if index else {"ifname": name}
        try:
            (message,) = self._ask(lambda: self._route.link("get", **key))
        except OSError as error:
            if error.errno in _NO_SUCH_DEVICE:
                return None
            raise
        return _link(message)

    def links(self, *, kind: str = "") -> tuple[Link, ...]:
        """Return all devices, or those of one kind."""
        wanted = {"kind": kind} if kind else {}
        return tuple(_link(message) for message in self._dump(lambda: self._route.link("dump", **wanted)))

    def addresses(self) -> tuple[tuple[int, IPAddress], ...]:
        """Return every address with the index of its device."""
        found = []
        for message in self._dump(self._route.get_addr):
            # of a point-to-point IPv4 device, `address` is the peer's
            if value := message.get("local") or message.get("address"):
                found.append((int(message["index"]), ip_address(value)))
        return tuple(found)

    def default_routes(self) -> frozenset[int]:
        """Return the indices of the devices that default routes of any table and family lead out of."""
        return frozenset(
            int(out)
            for message in self._dump(self._route.get_routes)
            if message["dst_len"] == 0 and message["type"] == _RTN_UNICAST and (out := message.get("oif"))
        )

    # The kernel marks a listing that a change made inconsistent, and expects to be asked again.
    def _dump(self, listing: Callable[[], Iterable[Message]]) -> tuple[Message, ...]:
        while True:
            found = self._ask(listing)
            if not any(message["header"]["flags"] & _NLM_F_DUMP_INTR for message in found):
                return found

    def _ask(self, request: Callable[[], Iterable[Message]]) -> tuple[Message, ...]:
        try:
            return tuple(request())
        except self._refused as error:
            raise OSError(error.code, str(error.args[1])) from error


class LinksOnce(Links):
    """
    As `Links`, but the kernel is asked once for each device and each kind.

    For one look at many pods, most of which may be on the same parent.
    """

    def __init__(self) -> None:
        super().__init__()
        self._devices: dict[tuple[str, int], Link | None] = {}
        self._kinds: dict[str, tuple[Link, ...]] = {}

    def link(self, *, name: str = "", index: int = 0) -> Link | None:
        """Return the device of that index, or else name, as it was when it was first asked for."""
        key = (name, index)
        if key not in self._devices:
            self._devices[key] = super().link(name=name, index=index)
        return self._devices[key]

    def links(self, *, kind: str = "") -> tuple[Link, ...]:
        """Return all devices, or those of one kind, as they were when they were first asked for."""
        if kind not in self._kinds:
            self._kinds[kind] = super().links(kind=kind)
        return self._kinds[kind]


def _link(message: Message) -> Link:
    netns_id = message.get("link_netnsid")
    return Link(
        message.get("ifname"),
        message["index"],
        message.get(("linkinfo", "kind")) or "",
        _mac(message),
        message.get("link") or 0,
        -1 if netns_id is None else netns_id,
    )


# pyroute2 reads six bytes whatever the device; an address of a tunnel is shorter, and is no MAC.
def _mac(message: Message) -> bytes:
    text = message.get("address") if message["ifi_type"] == _ARPHRD_ETHER else None
    return bytes.fromhex(text.replace(":", "")) if text else bytes(6)
