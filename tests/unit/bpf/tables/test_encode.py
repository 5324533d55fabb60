"""Encoded values, read back through the mirror of the kernel's structs."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from twinway.model.net import IPAddress, IPNetwork, Protocol
from twinway.model.node import (
    Action,
    Backend,
    BackendId,
    BackendSet,
    BackendSetId,
    ClassId,
    Frontend,
    PolicySet,
    PolicySetId,
    RuleId,
    Scope,
    Verdict,
    VerdictEntry,
)
from twinway.model.policy import Direction
from twinway_bpf.tables import encode, layout
from twinway_bpf.tables.encode import Place
from twinway_bpf.tables.layout import EpKind

MAPPED = IPv6Network("::ffff:0:0/96")
ids = st.integers(1, 2**64 - 1)
ports = st.integers(0, 2**16 - 1)
words = st.integers(0, 2**32 - 1)
addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(lambda address: address not in MAPPED)
protocols = st.sampled_from(Protocol)
backends = st.builds(Backend, ids.map(BackendId), addresses, ports, protocols)
sets = st.builds(BackendSet, ids.map(BackendSetId), st.lists(backends, max_size=5).map(tuple))
frontends = st.builds(Frontend, addresses, ports, protocols, st.sampled_from(Scope), sets, st.booleans())
macs = st.binary(min_size=6, max_size=6)
places = st.builds(Place, words, macs, macs, words)
networks = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False)),
    st.tuples(st.ip_addresses(v=6), st.integers(0, 128))
    .map(lambda pair: IPv6Network(pair, strict=False))
    .filter(lambda network: not network.overlaps(MAPPED)),
)
entries = st.builds(
    VerdictEntry,
    st.sampled_from(Direction),
    ids.map(ClassId),
    st.sampled_from([0, 6, 17, 132]),
    ports,
    st.integers(0, 16),
    st.builds(Verdict, st.sampled_from(Action), ids.map(RuleId)),
)


def as_written(raw: object) -> IPAddress:
    """The address in sixteen bytes, decoded independently."""
    address = IPv6Address(bytes(raw))  # type: ignore[call-overload]
    return address.ipv4_mapped or address


@given(addresses)
def test_address_comes_back(address: IPAddress) -> None:
    """An address of either family is encoded to sixteen bytes and back."""
    assert len(encode.address(address)) == 16
    assert encode.address_back(encode.address(address)) == address


@given(frontends)
def test_frontend(frontend: Frontend) -> None:
    """A frontend's key and value have its address, port, protocol, scope, set, count and flag."""
    key = layout.FeKey.from_buffer_copy(encode.frontend_key(frontend))
    value = layout.Fe.from_buffer_copy(encode.frontend_value(frontend))
    assert as_written(key.addr) == frontend.address
    assert (key.port, key.proto, key.scope) == (frontend.port, frontend.protocol.number, frontend.scope)
    assert (value.set, value.count) == (frontend.backends.id, len(frontend.backends.backends))
    assert value.flags == (layout.FeFlag.DROPS if frontend.drops else 0)


@given(addresses)
def test_address_of_some_service(address: IPAddress) -> None:
    """The key that marks an address has port and protocol 0."""
    key = layout.FeKey.from_buffer_copy(encode.address_key(address))
    assert (as_written(key.addr), key.port, key.proto, key.scope) == (address, 0, 0, 0)
    assert len(encode.ADDRESS_VALUE) == len(bytes(layout.Fe()))


@given(sets)
def test_slots(backend_set: BackendSet) -> None:
    """A set's slots are numbered from 0 in the order of its backends."""
    found = [
        (layout.SlotKey.from_buffer_copy(key), int.from_bytes(value, sys.byteorder))
        for key, value in encode.slots(backend_set)
    ]
    assert [(key.set, key.slot, key.pad) for key, _ in found] == [
        (backend_set.id, number, 0) for number in range(len(backend_set.backends))
    ]
    assert [backend for _, backend in found] == [backend.id for backend in backend_set.backends]


@given(backends)
def test_backend(backend: Backend) -> None:
    """A backend's key is its id; its value has the address, port and protocol."""
    value = layout.Be.from_buffer_copy(encode.backend_value(backend))
    assert int.from_bytes(encode.backend_key(backend.id), sys.byteorder) == backend.id
    assert (as_written(value.addr), value.port, value.proto) == (
        backend.address,
        backend.port,
        backend.protocol.number,
    )
    assert bytes(value.pad) == bytes(5)


@given(st.sampled_from(EpKind), ids, st.integers(0, 1), places)
def test_endpoint(kind: EpKind, policy: int, generation: int, place: Place) -> None:
    """An endpoint's value has its kind, policy, generation and place."""
    value = layout.Ep.from_buffer_copy(encode.endpoint_value(kind, PolicySetId(policy), generation, place))
    assert (value.kind, value.policy, value.gen) == (kind, policy, generation)
    assert Place(value.ifindex, bytes(value.mac), bytes(value.host_mac), value.stamp) == place
    assert value.pad == 0


@given(networks, ids, ids)
def test_class(network: IPNetwork, first: int, second: int) -> None:
    """The length of a prefix counts from the first of 128 bits, so an IPv4 prefix is inside ::ffff:0:0/96."""
    key = layout.ClassKey.from_buffer_copy(encode.class_key(network))
    assert as_written(key.addr) == network.network_address
    assert key.prefixlen == network.prefixlen + (96 if isinstance(network, IPv4Network) else 0)
    value = layout.Class.from_buffer_copy(encode.class_value(first, second))
    assert tuple(value.id) == encode.class_ids(bytes(value)) == (first, second)


@given(ids, entries)
def test_verdict(policy: int, entry: VerdictEntry) -> None:
    """In a verdict's key, the fields that must be equal precede the prefix of the port."""
    chosen = PolicySet(PolicySetId(policy), (entry,))
    ((raw_key, raw_value),) = encode.verdicts(chosen)
    key = layout.VerdictKey.from_buffer_copy(raw_key)
    value = layout.Verdict.from_buffer_copy(raw_value)
    assert (key.set, key.direction, key.class_id) == (policy, entry.direction, entry.address_class)
    assert (key.proto, key.port, bytes(key.tail), key.pad) == (entry.protocol, entry.port, bytes(6), 0)
    assert key.prefixlen == 8 * (layout.VerdictKey.port.offset - layout.VerdictKey.direction.offset) + entry.bits
    assert (value.rule, value.action, value.pad) == (entry.verdict.rule, entry.verdict.action, 0)
    assert encode.verdict_set(raw_key) == policy


@given(st.lists(frontends, max_size=8))
def test_served_protocols(found: list[Frontend]) -> None:
    """Frontends of TCP and UDP are served, in their order; those of SCTP are left out."""
    served = encode.servable(found)
    assert served == tuple(each for each in found if each.protocol is not Protocol.SCTP)


def test_ip4_is_mapped() -> None:
    """The bytes of one address of each family are as documented."""
    assert encode.address(IPv4Address("10.1.0.5")) == bytes(10) + b"\xff\xff\x0a\x01\x00\x05"
    assert encode.address(IPv6Address("fd00::5")) == b"\xfd" + bytes(14) + b"\x05"
