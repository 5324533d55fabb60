"""What the programs look things up in, written by tests entry by entry and read back by name."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from twinway.driver import Denial
from twinway.model.net import Protocol
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
from twinway_bpf.load.maps import Map, short_name
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Ct, CtFlag, CtKey, EpKind, Limit, Reason, Share, ShareKey, Udp
from twinway_bpf.tables.layout import End as RawEnd
from twinway_bpf.tables.readback import denials
from twinway_bpf.tables.settings import Notices, Settings
from twinway_testing.frames import TCP, End, IPAddress

_PROTOCOLS = {protocol.number: protocol for protocol in Protocol}
_CLEARED = (
    "fe",
    "slot",
    "be",
    "udpbe",
    "ep",
    "class",
    "verdict",
    "ct",
    "ct_share",
    "initiator",
    "udp",
    "udp_share",
)


@dataclass(frozen=True, slots=True)
class Connection:
    """One entry of the connection table."""

    key: bytes
    ends: frozenset[End]
    protocol: int
    peer: End
    seen: int
    backend: int
    rev: int
    flags: CtFlag

    @property
    def is_alias(self) -> bool:
        """Whether it leads to a record."""
        return CtFlag.ALIAS in self.flags


def verdict(
    direction: Direction,
    port: int = 0,
    bits: int = 0,
    *,
    allow: bool,
    rule: int,
    peer: int = 0,
    protocol: int = TCP,
) -> VerdictEntry:
    """What one direction says of a class (`peer`), a protocol and a prefix of ports."""
    action = Action.ALLOW if allow else Action.DENY
    return VerdictEntry(direction, ClassId(peer), protocol, port, bits, Verdict(action, RuleId(rule)))


class Tables:
    """The tables of one node."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self.maps = {short_name(name): table for name, table in maps.items()}
        self.settings = Settings(self.maps["cfg"])
        self.notices = Notices(self.maps["notes"])

    def clear(self) -> None:
        """As if nothing had been written, counters aside."""
        for name in _CLEARED:
            self.maps[name].remove(list(self.maps[name].entries()))
        self.limit(0)
        self.settings.write(host_netns=0, flags=0, rev=1)

    def counts(self) -> dict[Reason, int]:
        """Each reason and how often it was given."""
        table = self.maps["count"]
        return {reason: table.lookup_sum(int(reason).to_bytes(4, sys.byteorder)) for reason in Reason}

    def denied(self, rule: int) -> int:
        """How many denials a rule was given as the reason of."""
        return sum(denial.count for denial in self._denials() if denial.rule == rule)

    def denied_to(self, rule: int) -> set[tuple[IPAddress, Direction]]:
        """To which pods a rule denied something, and in which direction."""
        return {(each.pod, each.direction) for each in self._denials() if each.rule == rule}

    def _denials(self) -> tuple[Denial, ...]:
        return denials(self.maps["denied"], self.maps["ep"])

    def pod(self, address: IPAddress, place: encode.Place, *, policy: int = 0, generation: int = 0) -> None:
        """A pod of this node."""
        value = encode.endpoint_value(EpKind.POD, PolicySetId(policy), generation, place)
        self.maps["ep"].write({encode.address(address): value, encode.device(place): value})

    def node(self, address: IPAddress) -> None:
        """An address of the node itself."""
        self.maps["ep"].write({encode.address(address): encode.endpoint_value(EpKind.NODE)})

    def service(self, frontend: End, *ends: End, protocol: int = TCP, drops: bool = False) -> None:
        """A Service's port, and the backends of new connections; without any, it `drops` or rejects."""
        backends = tuple(_backend(each, _PROTOCOLS[protocol]) for each in ends)
        for each in backends:
            self.maps["be"].write({encode.backend_key(each.id): encode.backend_value(each)})
        chosen = BackendSet(BackendSetId(_identity(frontend, *ends)), backends)
        self.maps["slot"].write(dict(encode.slots(chosen)))
        where = Frontend(frontend.address, frontend.port, _PROTOCOLS[protocol], Scope.INTERNAL, chosen, drops)
        self.maps["fe"].write({encode.frontend_key(where): encode.frontend_value(where)})
        self.maps["fe"].write({encode.address_key(frontend.address): encode.ADDRESS_VALUE})

    def datagram_end(self, end: End) -> None:
        """What is asked by UDP at a backend's own address."""
        self.maps["udpbe"].write(encode.datagram_ends([_backend(end, Protocol.UDP)]))

    def forget_backend(self, gone: End, protocol: int = TCP) -> None:
        """A backend that serves no more, connections it has included."""
        assert self.maps["be"].remove([encode.backend_key(_backend(gone, _PROTOCOLS[protocol]).id)]) == 1

    def policy(self, identity: int, *entries: VerdictEntry) -> None:
        """A policy set."""
        self.maps["verdict"].write(dict(encode.verdicts(PolicySet(PolicySetId(identity), entries))))

    def classify(self, network: str, first: int, second: int = 0) -> None:
        """The classes of a prefix in both generations."""
        self.maps["class"].write({encode.class_key(ip_network(network)): encode.class_value(first, second)})

    def connections(self) -> list[Connection]:
        """All connections, records first."""
        found = [_connection(key, value) for key, value in self.maps["ct"].entries().items()]
        return sorted(found, key=lambda each: each.is_alias)

    def record(self) -> Connection:
        """The one record there is."""
        (found,) = [each for each in self.connections() if not each.is_alias]
        return found

    def alias(self) -> Connection:
        """The one alias there is."""
        (found,) = [each for each in self.connections() if each.is_alias]
        return found

    def forget(self, gone: Connection) -> None:
        """As when an entry was evicted."""
        assert self.maps["ct"].remove([gone.key]) == 1

    def age(self, units: int, connections: Iterable[Connection] | None = None) -> None:
        """Let connections have been idle for so long, in units of 2^30 ns."""
        table = self.maps["ct"]
        for each in self.connections() if connections is None else connections:
            raw = Ct.from_buffer_copy(table.lookup(each.key) or b"")
            raw.seen = (raw.seen - units) & 0xFFFFFFFF
            table.write({each.key: bytes(raw)})

    def limit(self, windows: int) -> None:
        """How many windows a pod's share may have, of either table; 0: as if nobody had said."""
        self.maps["limit"].write(
            {key.to_bytes(4, sys.byteorder): windows.to_bytes(4, sys.byteorder) for key in Limit}
        )

    def shares(self, table: str) -> dict[tuple[IPAddress, int], list[bytes]]:
        """By pod and number of a window, the keys that it holds."""
        found = {}
        for raw_key, raw_value in self.maps[f"{table}_share"].entries().items():
            key, value = ShareKey.from_buffer_copy(raw_key), Share.from_buffer_copy(raw_value)
            found[encode.address_back(bytes(key.addr)), key.window] = [bytes(way) for way in value.way]
        return found

    def age_notes(self, units: int) -> None:
        """The same for what is noted of datagrams."""
        table = self.maps["udp"]
        for key, value in table.entries().items():
            raw = Udp.from_buffer_copy(value)
            raw.seen = (raw.seen - units) & 0xFFFFFFFF
            table.write({key: bytes(raw)})


def _backend(where: End, protocol: Protocol) -> Backend:
    return Backend(BackendId(_identity(where)), where.address, where.port, protocol)


def _identity(*ends: End) -> int:
    digest = hashlib.sha256(" ".join(map(str, ends)).encode()).digest()
    return int.from_bytes(digest[:8], sys.byteorder)


def _end(raw: RawEnd) -> End:
    return End(encode.address_back(bytes(raw.addr)), raw.port)


def _connection(raw_key: bytes, raw_value: bytes) -> Connection:
    key, value = CtKey.from_buffer_copy(raw_key), Ct.from_buffer_copy(raw_value)
    ends = frozenset(_end(each) for each in key.end)
    flags = CtFlag(value.flags)
    return Connection(raw_key, ends, key.proto, _end(value.peer), value.seen, value.backend, value.rev, flags)
