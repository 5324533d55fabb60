"""Devices, addresses and routes, read as `ip` made them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from twinway_bpf.netlink import netns, rtnetlink
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
    "route add default via 192.0.2.1 dev out0",
    "route add 198.51.100.0/24 dev low0",
    "route add blackhole default table 77",
    "route add default via 2001:db8:1::1 dev low0 table 78",
)
MANY = 150


@pytest.fixture
def namespace() -> Iterator[Path]:
    """This thread is in a namespace with those devices."""
    with site.namespace("rtnetlink", *MADE) as path, netns.inside(str(path)):
        yield path


def test_links(namespace: Path) -> None:
    """Every device comes with its kind, its MAC, and what it hangs on."""
    number = site.indices(namespace)
    links = {link.name: link for link in rtnetlink.links()}
    assert {name: link.ifindex for name, link in links.items()} == number
    assert [name for name, link in links.items() if link.loopback] == ["lo"]
    assert [links[name].kind for name in ("lo", "out0", "low0", "up0")] == ["", "veth", "bridge", "macvlan"]
    assert links["out0"].mac == bytes.fromhex("020000000007")
    assert (links["up0"].link, links["out0"].link) == (number["low0"], number["far0"])
    assert links["low0"].link == 0


def test_one_link(namespace: Path) -> None:
    """A device is found by index or by name, as it is listed; one that is not there is None."""
    for link in rtnetlink.links():
        assert rtnetlink.link(index=link.ifindex) == link
        assert rtnetlink.link(name=link.name) == link
    for name in ("gone0", "a-name-that-no-device-can-have"):
        assert rtnetlink.link(name=name) is None
    assert rtnetlink.link(index=1 << 20) is None


def test_addresses(namespace: Path) -> None:
    """Addresses of both families come with their device."""
    out = site.indices(namespace)["out0"]
    found = {address for index, address in rtnetlink.addresses() if index == out}
    assert {ip_address("192.0.2.7"), ip_address("2001:db8::7")} <= found
    assert (site.indices(namespace)["lo"], ip_address("127.0.0.1")) in rtnetlink.addresses()


def test_default_routes(namespace: Path) -> None:
    """Default routes of any table and family count, if they lead out of a device."""
    number = site.indices(namespace)
    assert rtnetlink.default_routes() == {number["out0"], number["low0"]}


def test_more_than_one_message() -> None:
    """A listing that the kernel tells in many parts is whole."""
    pairs = (f"link add one{n} type veth peer name two{n}" for n in range(MANY))
    with site.namespace("many", *pairs) as path, netns.inside(str(path)):
        found = {link.name for link in rtnetlink.links()}
    assert found == {"lo", *(f"{end}{n}" for n in range(MANY) for end in ("one", "two"))}
