"""Counts of denials end with the pod that they were counted for."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from tests.unit.states import attachment
from twinway.model.net import ObjectRef
from twinway.model.node import Endpoint
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.denials import Denials
from twinway_bpf.tables.layout import DeniedKey

OLD, NEW, OTHER = "10.1.0.5", "10.1.0.6", "10.1.0.7"


class Counts(Map):
    """A table of counts in memory, one for each address."""

    def __init__(self, *addresses: str, device: bytes = b"") -> None:
        whose = [encode.address(ip_address(each)) for each in addresses] + [device] * bool(device)
        self.counts = {_key(each): 3 for each in whose}

    def sums(self) -> dict[bytes, int]:
        return dict(self.counts)

    def remove(self, keys: Iterable[bytes]) -> int:
        return sum(self.counts.pop(each, 0) > 0 for each in keys)


def key(address: str) -> bytes:
    """The key of what some rule denied to this address."""
    return _key(encode.address(ip_address(address)))


def _key(pod: bytes) -> bytes:
    made = DeniedKey(rule=7, direction=1)
    made.pod[:] = pod
    return bytes(made)


def device(number: int) -> bytes:
    """The key of a pod's device."""
    return encode.device(encode.Place(number))


def pods(**addresses: str) -> dict[ObjectRef, Endpoint]:
    """Endpoints by name, in a container of the name."""
    made = (attachment(name.partition("_")[0], name, address) for name, address in addresses.items())
    return {each.pod: Endpoint(each) for each in made}


def test_a_pod_that_goes_takes_its_counts_along() -> None:
    """Whoever gets its address begins at zero; the others keep theirs."""
    table = Counts(OLD, OTHER)
    denials = Denials(table)
    denials.follow(pods(web=OLD, other=OTHER), {})
    assert table.counts.keys() == {key(OLD), key(OTHER)}
    denials.follow(pods(late=OLD, other=OTHER), {})
    assert table.counts.keys() == {key(OTHER)}
    denials.follow({}, {})
    assert table.counts == {}


def test_a_pod_that_is_made_again_begins_at_zero() -> None:
    """It has its name and its address, and another container."""
    table = Counts(OLD)
    denials = Denials(table)
    denials.follow(pods(web_1=OLD), {})
    denials.follow(pods(web_2=OLD), {})
    assert table.counts == {}


def test_a_first_state_removes_the_counts_of_addresses_without_a_pod() -> None:
    """An earlier agent left them; whose they were nobody knows."""
    table = Counts(OLD, NEW)
    Denials(table).follow(pods(web=NEW), {})
    assert table.counts.keys() == {key(NEW)}


def test_a_device_ends_with_its_pod() -> None:
    """What was denied at a device is its pod's, and goes with the pod."""
    table = Counts(device=device(4))
    denials = Denials(table)
    before = pods(web=OLD)
    denials.follow(before, dict.fromkeys(before, device(4)))
    assert len(table.counts) == 1
    denials.follow({}, {})
    assert table.counts == {}
