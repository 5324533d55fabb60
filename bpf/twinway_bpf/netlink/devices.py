"""
Network devices as rtnetlink tells them: a pod's own, its host side, the node's ways out.

Never from configuration or from what a CNI plugin says of itself: a chain may fall back to another
device than its config names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from twinway.errors import DriverError
from twinway.model.net import IPAddress
from twinway_bpf.netlink import netns, rtnetlink
from twinway_bpf.netlink.rtnetlink import Link

SERVICES_DEVICE = "kube-ipvs0"
"""Where kube-proxy in its mode ipvs keeps every Service's address, and leaves them. Source: pkg/proxy/ipvs."""

_NO_MAC = bytes(6)


@dataclass(frozen=True, slots=True)
class PodDevice:
    """A pod's interface, and the host's side of it where it is a veth."""

    netns: str
    inside: Link
    host: Link | None
    beside: bytes = _NO_MAC
    """MAC by which a pod on a shared parent reaches its node without the wire; zero where it cannot."""
    parent: Link | None = None
    """What a macvlan or an ipvlan is on, in our namespace."""
    cookie: int | None = None
    """The kernel's number for the namespace."""


def pod_device(path: str, ifname: str) -> PodDevice:
    """
    The interface `ifname` in the namespace at `path`.

    Raises DriverError where the namespace or the interface has gone.
    """
    try:
        with netns.inside(path):
            inside, cookie = _device(name=ifname), netns.cookie()
    except OSError as error:
        raise DriverError(f"namespace {path}: {error.strerror}") from error
    if inside is None:
        raise DriverError(f"namespace {path}: no interface {ifname}")
    return PodDevice(path, inside, _host_side(inside), _beside(inside), _parent(inside), cookie)


# An index alone may be another device's: namespaces number on their own. The pair must name each other.
def _host_side(inside: Link) -> Link | None:
    if inside.kind != "veth" or not inside.link:
        return None
    host = _device(index=inside.link)
    if host is None or host.kind != "veth" or host.link != inside.ifindex:
        return None
    return host


# All of a parent's ipvlans share its MAC, and what none of them has an address for is the parent's own.
# Of macvlans the node needs one of its own.
def _beside(inside: Link) -> bytes:
    if inside.kind == "ipvlan":
        return inside.mac
    if inside.kind != "macvlan":
        return _NO_MAC
    own = (link.mac for link in rtnetlink.links() if (link.kind, link.link) == ("macvlan", inside.link))
    return next(own, _NO_MAC)


def _parent(inside: Link) -> Link | None:
    return _device(index=inside.link) if inside.kind in ("macvlan", "ipvlan") and inside.link else None


def shared_parents(devices: Iterable[PodDevice]) -> tuple[Link, ...]:
    """The parents of these devices, each once."""
    found = {device.parent.ifindex: device.parent for device in devices if device.parent and not device.host}
    return tuple(found[index] for index in sorted(found))


def uplinks(names: tuple[str, ...]) -> tuple[Link, ...]:
    """
    The devices that lead out of this namespace: those named, else those of the default routes.

    Without a default route: every device that is up, is no pod's veth and no loopback.
    """
    if not names:
        names = tuple(sorted(_default_route_devices()))
    found = (_device(name=name) for name in names)
    return tuple(device for device in found if device is not None)


def local_addresses() -> frozenset[IPAddress]:
    """Every address of this namespace that it may speak to pods from: not loopback's, nor Services'."""
    silent = {link.ifindex for link in rtnetlink.links() if link.loopback or link.name == SERVICES_DEVICE}
    return frozenset(address for index, address in rtnetlink.addresses() if index not in silent)


def indices() -> tuple[int, ...]:
    """Indices of all devices of this namespace."""
    return tuple(link.ifindex for link in rtnetlink.links())


def _default_route_devices() -> set[str]:
    out = rtnetlink.default_routes()
    return {link.name for link in rtnetlink.links() if link.ifindex in out}


def _device(*, name: str = "", index: int = 0) -> Link | None:
    try:
        return rtnetlink.link(name=name, index=index)
    except OSError as error:
        raise DriverError(f"device {name or index}: {error.strerror}") from error
