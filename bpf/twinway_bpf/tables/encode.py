"""
Encode a `NodeState` as entries of the kernel's tables. Pure functions.

Layouts are those of tw_types.h, which `layout` mirrors and a test compares. Numbers have the byte order of the
machine, addresses and ports that of the network.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from twinway.model.net import IPAddress, IPNetwork, Protocol
from twinway.model.node import (
    NO_POLICY,
    Backend,
    BackendSet,
    ClassId,
    Frontend,
    PolicySet,
    PolicySetId,
)
from twinway.model.policy import Direction
from twinway.model.verdicts import GroupedEntries, VerdictRow
from twinway_bpf.tables.layout import CtKey, End, EpKind, FeFlag, addr

_MAPPED = bytes(10) + b"\xff\xff"
_DEVICE = b"\xff" * 8
_U64 = struct.Struct("=Q")
_ONE = _U64.pack(1)
_FE = struct.Struct("=QII")
_SLOT_KEY = struct.Struct("=QII")
_EP = struct.Struct("=QIBB6s6s2xIi4x")
_CLASS_KEY = struct.Struct("=I16s")
_CLASS = struct.Struct("=QQ")
_SINGLE = (128).to_bytes(4, sys.byteorder)
_VERDICT_KEY_HEAD = struct.Struct("=IBBH")
_VERDICT_KEY_NAMES = struct.Struct("=QQ")
_VERDICT = struct.Struct("=QII")
_END_WORDS = struct.Struct("=4IH")
"""The words of a tw_end in the order in which ct_key() compares them."""

VerdictParts = tuple[bytes, bytes, bytes]
"""The part of an entry's key before policy set and class, the part after them, and the value."""
VERDICT_PREFIX = 8 * (1 + 1 + 2 + 8 + 8)
"""Bits of a verdict's key between its prefixlen and its port."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    What identifies a pod's packets: the host side of its veth, or a stamp.

    `mac` is the pod's. With a host side, `ifindex` and `host_mac` are those of the host side. Without one,
    `ifindex` is zero, `host_mac` is the node's on the same parent, and `stamp` is what a program in the pod's
    namespace writes on its packets. `netns` is the pod's namespace, as the namespace of its hooks numbers it, and
    negative if both are one namespace.
    """

    ifindex: int = 0
    mac: bytes = bytes(6)
    host_mac: bytes = bytes(6)
    stamp: int = 0
    netns: int = -1


NOWHERE = Place()

SERVED = frozenset({Protocol.TCP, Protocol.UDP})
"""Protocols whose ports can be translated. SCTP's cannot: its checksum covers the whole packet."""


def address(value: IPAddress) -> bytes:
    """The 16 bytes of an address; an IPv4 address is mapped into IPv6."""
    return value.packed if isinstance(value, IPv6Address) else _MAPPED + value.packed


def device(place: Place) -> bytes:
    """The key of tw_ep for the pod at a device, which no address has (device.h)."""
    return _DEVICE + place.ifindex.to_bytes(4, sys.byteorder) + place.stamp.to_bytes(4, sys.byteorder)


def is_device(key: bytes) -> bool:
    """Whether this stands for a pod's device, as `device` makes it, where an address may stand."""
    return key.startswith(_DEVICE)


def address_back(packed: bytes) -> IPAddress:
    """The address in 16 bytes; a mapped one is IPv4."""
    return ip_address(packed[12:] if packed[:12] == _MAPPED else packed)


def frontend_key(frontend: Frontend) -> bytes:
    """Key of tw_fe."""
    port = frontend.port.to_bytes(2, "big")
    return address(frontend.address) + port + bytes((frontend.protocol.number, frontend.scope))


def frontend_value(frontend: Frontend) -> bytes:
    """Value of tw_fe."""
    flags = FeFlag.DROPS if frontend.drops else 0
    return _FE.pack(frontend.backends.id, len(frontend.backends.backends), flags)


def address_key(value: IPAddress) -> bytes:
    """The key of tw_fe that marks an address as that of some Service."""
    return address(value) + bytes(4)


ADDRESS_VALUE = _FE.pack(0, 0, 0)


def slots(backends: BackendSet) -> Iterator[tuple[bytes, bytes]]:
    """Entries of tw_slot for one set."""
    for number, backend in enumerate(backends.backends):
        yield _SLOT_KEY.pack(backends.id, number, 0), _U64.pack(backend.id)


def backend_key(identity: int) -> bytes:
    """Key of tw_be."""
    return _U64.pack(identity)


def backend_id(key: bytes) -> int:
    """The backend id in a key of tw_be."""
    return int(_U64.unpack(key)[0])


def backend_value(backend: Backend) -> bytes:
    """Value of tw_be."""
    return (
        address(backend.address) + backend.port.to_bytes(2, "big") + bytes((backend.protocol.number,)) + bytes(5)
    )


def datagram_ends(backends: Iterable[Backend]) -> dict[bytes, bytes]:
    """Entries of tw_udpbe: the addresses and ports of those backends that serve UDP."""
    return {
        address(backend.address) + backend.port.to_bytes(2, "big") + bytes(2): _ONE
        for backend in backends
        if backend.protocol == Protocol.UDP
    }


def endpoint_value(
    kind: EpKind, policy: PolicySetId = NO_POLICY, generation: int = 0, place: Place = NOWHERE
) -> bytes:
    """Value of tw_ep."""
    return _EP.pack(policy, place.ifindex, kind, generation, place.mac, place.host_mac, place.stamp, place.netns)


def class_key(network: IPNetwork) -> bytes:
    """Key of tw_class: a prefix of the 16-byte address."""
    bits = network.prefixlen if isinstance(network, IPv6Network) else 96 + network.prefixlen
    return _CLASS_KEY.pack(bits, address(network.network_address))


def class_prefix(key: bytes) -> tuple[int, int]:
    """The prefix length of a key of tw_class, and its mapped address as a number."""
    return int.from_bytes(key[:4], sys.byteorder), int.from_bytes(key[4:], "big")


def is_single(key: bytes) -> bool:
    """Whether a key of tw_class is a single address."""
    return key.startswith(_SINGLE)


def class_value(first: int, second: int) -> bytes:
    """Value of tw_class: the class ids of both generations."""
    return class_half(first) + class_half(second)


def class_half(identity: int) -> bytes:
    """The half of a value of tw_class for one generation."""
    return _U64.pack(identity)


def class_ids(value: bytes) -> tuple[int, int]:
    """The class ids of both generations."""
    first, second = _CLASS.unpack(value)
    return first, second


def verdict_set(key: bytes) -> PolicySetId:
    """The policy set that a key of tw_verdict belongs to."""
    return PolicySetId(_VERDICT_KEY_NAMES.unpack_from(key, _VERDICT_KEY_HEAD.size)[0])


def verdict_parts(direction: Direction, rows: Iterable[VerdictRow]) -> list[VerdictParts]:
    """The parts of entries of tw_verdict that do not depend on policy set and class."""
    return [
        (
            _VERDICT_KEY_HEAD.pack(VERDICT_PREFIX + bits, direction, protocol, 0),
            port.to_bytes(2, "big") + bytes(6),
            _VERDICT.pack(verdict.rule, verdict.action, 0),
        )
        for protocol, port, bits, verdict in rows
    ]


def verdict_entries(
    policy: PolicySetId, address_class: ClassId, parts: Iterable[VerdictParts]
) -> dict[bytes, bytes]:
    """Entries of tw_verdict for one policy set and class."""
    names = _VERDICT_KEY_NAMES.pack(policy, address_class)
    return {head + names + tail: value for head, tail, value in parts}


def verdicts(policy: PolicySet) -> Iterator[tuple[bytes, bytes]]:
    """Entries of tw_verdict for one policy set."""
    for group in GroupedEntries.of(policy.entries).groups:
        parts = verdict_parts(group.direction, group.rows)
        yield from verdict_entries(policy.id, group.address_class, parts).items()


def servable(frontends: Iterable[Frontend]) -> tuple[Frontend, ...]:
    """The frontends whose protocol is served."""
    return tuple(frontend for frontend in frontends if frontend.protocol in SERVED)


def end(place: IPAddress, port: int) -> End:
    """One end of a connection, as tables have it."""
    return End(addr.from_buffer_copy(address(place)), port)


def connection_key(source: End, destination: End, protocol: Protocol) -> tuple[bytes, bool]:
    """
    Key of tw_ct for two ends, and whether the first of them is end 0 of it.

    As ct_key() makes it: the ends in order of their words, as this machine loads them.
    """
    first = _END_WORDS.unpack_from(bytes(source)) <= _END_WORDS.unpack_from(bytes(destination))
    ends = (source, destination) if first else (destination, source)
    return bytes(CtKey(ends, protocol.number)), first
