"""
Network devices as rtnetlink reports them: a pod's own, its host side, the node's ways out.

Neither configuration nor what a CNI plugin says of itself is consulted: a chain may fall back to a
device other than the one its config names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from twinway.errors import DriverError
from twinway.model.net import IPAddress
from twinway_bpf.netlink import netns
from twinway_bpf.netlink.links import Link, Links

SERVICES_DEVICE = "kube-ipvs0"
"""The device on which kube-proxy in ipvs mode keeps Services' addresses, and leaves them (pkg/proxy/ipvs)."""

LOOPBACK = 1
"""The index of every namespace's loopback device. Source: include/net/flow.h, LOOPBACK_IFINDEX."""

_NO_MAC = bytes(6)


class Layout(StrEnum):
    """How a pod's interface is joined to the node. It decides where the pod's hooks are."""

    VETH = "veth"
    """A pair whose other end, the host side, is in our namespace."""
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"
    VLAN = "vlan"
    DEDICATED = "dedicated"
    """Any other device, which the pod has for itself: a network card, or a veth that leads elsewhere."""

    @property
    def hooks_in_pod(self) -> bool:
        """Whether hooks are at the interface itself, in the pod's namespace; else they are at its host side."""
        return self is not Layout.VETH


@dataclass(frozen=True, slots=True)
class PodDevice:
    """A pod's interface, with what it is joined to."""

    netns: str
    inside: Link
    layout: Layout
    host: Link | None = None
    """The host side of a veth; None in every other layout."""
    beside: bytes = _NO_MAC
    """MAC by which a pod on a shared parent reaches its node without the wire; zero where it cannot."""
    parent: Link | None = None
    """What a macvlan or an ipvlan is on, in our namespace."""
    cookie: int | None = None
    """The kernel's number for the namespace."""


_LAYOUTS = {each.value: each for each in (Layout.MACVLAN, Layout.IPVLAN, Layout.VLAN)}
"""By the kind that rtnetlink reports."""
_ON_PARENT = (Layout.MACVLAN, Layout.IPVLAN)


def pod_device(own: Links, path: str, ifname: str) -> PodDevice:
    """
    Describe the interface `ifname` in the namespace at `path`; `own` is open in the node's namespace.

    Raises DriverError where the namespace or the interface has gone.
    """
    try:
        with netns.inside(path), Links() as theirs:
            inside, cookie = _device(theirs, name=ifname), netns.cookie()
    except OSError as error:
        raise DriverError(f"namespace {path}: {error.strerror}") from error
    if inside is None:
        raise DriverError(f"namespace {path}: no interface {ifname}")
    host = _host_side(own, inside)
    layout = Layout.VETH if host else _LAYOUTS.get(inside.kind, Layout.DEDICATED)
    beside, parent = _beside(own, layout, inside), _parent(own, layout, inside)
    return PodDevice(path, inside, layout, host, beside, parent, cookie)


# Each namespace numbers its devices independently, so an index alone may be another device's. Both ends must name
# each other.
def _host_side(own: Links, inside: Link) -> Link | None:
    if inside.kind != "veth" or not inside.link:
        return None
    host = _device(own, index=inside.link)
    if host is None or host.kind != "veth" or host.link != inside.ifindex:
        return None
    return host


# All ipvlans share their parent's MAC, and the parent receives what is for none of their addresses. With macvlan
# the node is reached by a macvlan of its own.
def _beside(own: Links, layout: Layout, inside: Link) -> bytes:
    match layout:
        case Layout.IPVLAN:
            return inside.mac
        case Layout.MACVLAN:
            return next((link.mac for link in own.links(kind="macvlan") if link.link == inside.link), _NO_MAC)
        case _:
            return _NO_MAC


def _parent(own: Links, layout: Layout, inside: Link) -> Link | None:
    return _device(own, index=inside.link) if layout in _ON_PARENT and inside.link else None


def shared_parents(devices: Iterable[PodDevice]) -> tuple[Link, ...]:
    """List the parents of these devices, each once."""
    found = {device.parent.ifindex: device.parent for device in devices if device.parent}
    return tuple(found[index] for index in sorted(found))


def uplinks(names: tuple[str, ...]) -> tuple[Link, ...]:
    """Find the devices that lead out of this thread's namespace: those named, else those of the default routes."""
    with Links() as own:
        if names:
            found = [_device(own, name=name) for name in names]
        else:
            found = [_device(own, index=index) for index in sorted(own.default_routes())]
    return tuple(device for device in found if device is not None)


def local_addresses() -> frozenset[IPAddress]:
    """
    List the addresses of this thread's namespace that it may speak to pods from.

    Those of the loopback device are left out, and those that kube-proxy gives to Services.
    """
    with Links() as own:
        services = _device(own, name=SERVICES_DEVICE)
        silent = {LOOPBACK, services.ifindex if services else LOOPBACK}
        return frozenset(address for index, address in own.addresses() if index not in silent)


def _device(links: Links, *, name: str = "", index: int = 0) -> Link | None:
    try:
        return links.link(name=name, index=index)
    except OSError as error:
        raise DriverError(f"device {name or index}: {error.strerror}") from error
