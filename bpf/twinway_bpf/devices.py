"""
Network devices as rtnetlink tells them: a pod's own, its host side, the node's ways out.

Never from configuration or from what a CNI plugin says of itself: a chain may fall back to another
device than its config names.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from twinway.errors import DriverError
from twinway.model.net import IPAddress
from twinway_bpf import netns


@dataclass(frozen=True, slots=True)
class Device:
    """One device; `kind` is rtnetlink's word (veth, macvlan, ipvlan, …), "" for a physical one."""

    name: str
    ifindex: int
    kind: str
    mac: bytes
    link: int
    """Peer of a veth, parent of a macvlan or ipvlan: an index in that device's namespace; 0: none."""


@dataclass(frozen=True, slots=True)
class PodDevice:
    """A pod's interface, and the host's side of it where it is a veth."""

    netns: str
    inside: Device
    host: Device | None


def pod_device(path: str, ifname: str) -> PodDevice:
    """
    The interface `ifname` in the namespace at `path`.

    Raises DriverError where the namespace or the interface has gone.
    """
    try:
        with netns.inside(path):
            inside = _device(name=ifname)
    except OSError as error:
        raise DriverError(f"namespace {path}: {error.strerror}") from error
    if inside is None:
        raise DriverError(f"namespace {path}: no interface {ifname}")
    return PodDevice(path, inside, _host_side(inside))


# An index alone may be another device's: namespaces number on their own. The pair must name each other.
def _host_side(inside: Device) -> Device | None:
    if inside.kind != "veth" or not inside.link:
        return None
    host = _device(index=inside.link)
    if host is None or host.kind != "veth" or host.link != inside.ifindex:
        return None
    return host


def uplinks(names: tuple[str, ...]) -> tuple[Device, ...]:
    """
    The devices that lead out of this namespace: those named, else those of the default routes.

    Without a default route: every device that is up, is no pod's veth and no loopback.
    """
    if not names:
        names = tuple(sorted(_default_route_devices()))
    found = (_device(name=name) for name in names)
    return tuple(device for device in found if device is not None)


def local_addresses() -> frozenset[IPAddress]:
    """Every address of this namespace but those of loopback."""
    with _route() as route:
        rows = route.get_addr()
        loopback = {row["index"] for row in route.get_links() if row["flags"] & 0x8}
    values = (
        row.get_attr("IFA_LOCAL") or row.get_attr("IFA_ADDRESS") for row in rows if row["index"] not in loopback
    )
    return frozenset(ip_address(value) for value in values if value)


def indices() -> tuple[int, ...]:
    """Indices of all devices of this namespace."""
    with _route() as route:
        return tuple(row["index"] for row in route.get_links())


@contextlib.contextmanager
def _route() -> Iterator[Any]:
    from pyroute2 import IPRoute

    route = IPRoute()
    try:
        yield route
    finally:
        route.close()


def _default_route_devices() -> set[str]:
    with _route() as route:
        indices = set()
        for family in (2, 10):
            for row in route.get_routes(family=family):
                if row["dst_len"] == 0 and row["type"] == 1 and row.get_attr("RTA_OIF"):
                    indices.add(row.get_attr("RTA_OIF"))
        return {row.get_attr("IFLA_IFNAME") for row in route.get_links() if row["index"] in indices}


def _device(*, name: str = "", index: int = 0) -> Device | None:
    from pyroute2.netlink.exceptions import NetlinkError

    with _route() as route:
        try:
            rows = route.link("get", index=index) if index else route.link("get", ifname=name)
        except NetlinkError as error:
            if error.code in (19, 22):
                return None
            raise DriverError(f"device {name or index}: {os.strerror(error.code)}") from error
        row = next(iter(rows), None)
    if row is None:
        return None
    info = row.get_attr("IFLA_LINKINFO")
    mac = row.get_attr("IFLA_ADDRESS") or "00:00:00:00:00:00"
    return Device(
        row.get_attr("IFLA_IFNAME"),
        row["index"],
        (info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        bytes.fromhex(mac.replace(":", "")),
        row.get_attr("IFLA_LINK") or 0,
    )
