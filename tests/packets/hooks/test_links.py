"""Devices, addresses and routes are read as `ip` made them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from twinway_bpf.netlink import netns
from twinway_bpf.netlink.devices import LOOPBACK, local_addresses
from twinway_bpf.netlink.links import Links
from twinway_testing import site

MADE = (
    "link add out0 address 02:00:00:00:00:07 type veth peer name far0",
    "link add low0 type bridge",
    "link add link low0 name up0 type macvlan mode bridge",
    "address add 192.0.2.7/24 dev out0",
    "address add 2001:db8::7/64 dev out0 nodad",
    "link set out0 up",
    "link set low0 up",
    "address add 2001:db8:1::7/64 dev low0 nodad",
    "address add 198.51.100.1 peer 198.51.100.2 dev low0",
    "route add default via 192.0.2.1 dev out0",
    "route add 203.0.113.0/24 dev low0",
    "route add blackhole default table 77",
    "route add default via 2001:db8:1::1 dev low0 table 78",
)
MANY = 150


@pytest.fixture(scope="module")
def namespace() -> Iterator[Path]:
    """A namespace with those devices."""
    with site.namespace("links", *MADE) as path:
        yield path


@pytest.fixture
def links(namespace: Path) -> Iterator[Links]:
    """What is read there."""
    with Links.inside(str(namespace)) as opened:
        yield opened


def test_links(namespace: Path, links: Links) -> None:
    """Every device comes with its kind, its MAC, and what it hangs on."""
    number = site.indices(namespace)
    found = {link.name: link for link in links.links()}
    assert {name: link.ifindex for name, link in found.items()} == number
    assert number["lo"] == LOOPBACK
    assert [found[name].kind for name in ("lo", "out0", "low0", "up0")] == ["", "veth", "bridge", "macvlan"]
    assert found["out0"].mac == bytes.fromhex("020000000007")
    assert found["lo"].mac == bytes(6)
    assert (found["up0"].link, found["out0"].link) == (number["low0"], number["far0"])
    assert found["low0"].link == 0


def test_links_of_a_kind(links: Links) -> None:
    """A listing of one kind has no other device."""
    assert {link.name for link in links.links(kind="veth")} == {"out0", "far0"}
    assert [link.name for link in links.links(kind="macvlan")] == ["up0"]
    assert links.links(kind="ipvlan") == ()


def test_one_link(links: Links) -> None:
    """A device is found by index or by name, as it is listed; one that is not there is None."""
    for link in links.links():
        assert links.link(index=link.ifindex) == link
        assert links.link(name=link.name) == link
    for name in ("gone0", "a-name-that-no-device-can-have"):
        assert links.link(name=name) is None
    assert links.link(index=1 << 20) is None


def test_addresses(namespace: Path, links: Links) -> None:
    """Addresses of both families come with their device, and are its own where it has a peer's, too."""
    number = site.indices(namespace)
    found = links.addresses()
    assert {(number["out0"], ip_address(each)) for each in ("192.0.2.7", "2001:db8::7")} <= set(found)
    assert (number["low0"], ip_address("198.51.100.1")) in found
    assert (number["lo"], ip_address("127.0.0.1")) in found


def test_local_addresses(namespace: Path) -> None:
    """Neither the loopback device's addresses are the node's own, nor those that kube-proxy gives to Services."""
    kube_proxy = ("link add kube-ipvs0 type bridge", "address add 10.96.0.1/32 dev kube-ipvs0")
    node = ("link add out0 type bridge", "address add 192.0.2.7/24 dev out0", "address add 192.0.2.8/32 dev lo")
    with site.namespace("local", *kube_proxy, *node) as path, netns.inside(str(path)):
        assert local_addresses() == {ip_address("192.0.2.7")}


def test_default_routes(namespace: Path, links: Links) -> None:
    """Default routes of any table and family count, if they lead out of a device."""
    number = site.indices(namespace)
    assert links.default_routes() == {number["out0"], number["low0"]}


def test_more_than_one_message() -> None:
    """A listing that takes the kernel many messages is whole."""
    pairs = (f"link add one{n} type veth peer name two{n}" for n in range(MANY))
    with site.namespace("many", *pairs) as path, Links.inside(str(path)) as links:
        found = {link.name for link in links.links()}
    assert found == {"lo", *(f"{end}{n}" for n in range(MANY) for end in ("one", "two"))}


def test_listing_during_changes() -> None:
    """A listing that changes interrupt still has every device that is there all the time."""
    pairs = [f"link add one{n} type veth peer name two{n}" for n in range(MANY // 3)]
    with site.namespace("changing", *pairs) as path, Links.inside(str(path)) as links:
        ended = threading.Event()

        def change() -> None:
            while not ended.is_set():
                site.ip(path, "link add gone0 type bridge", "link del gone0")

        changing = threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(10):
                found = {link.name for link in links.links()} - {"gone0"}
                assert len(found) == 2 * len(pairs) + 1
        finally:
            ended.set()
            changing.join()


def test_nothing_is_left_open(namespace: Path) -> None:
    """A reader that was closed holds no descriptor."""
    with Links.inside(str(namespace)):
        pass
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        with Links.inside(str(namespace)) as links:
            links.links()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
