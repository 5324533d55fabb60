"""Read the kernel's tables back as values of the model, for the command line and for `explain`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from twinway.driver import Denial, Inspection, KernelFrontend, MapUsage
from twinway.model.net import IPAddress, Protocol
from twinway.model.node import RuleId
from twinway.model.policy import Direction
from twinway_bpf.load.maps import ARRAYS, SK_STORAGE, Map, short_name
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Be, DeniedKey, Ep, EpKind, Fe, FeKey, Reason, SlotKey

_PROTOCOLS = {protocol.number: protocol for protocol in Protocol}


def inspect(maps: Mapping[str, Map]) -> Inspection:
    """Usage, counters, denials and frontends."""
    by_name = {short_name(name): table for name, table in maps.items()}
    return replace(counted(maps), frontends=frontends(by_name))


def counted(maps: Mapping[str, Map]) -> Inspection:
    """Usage, counters and denials, which need no read of whole tables."""
    by_name = {short_name(name): table for name, table in maps.items()}
    return Inspection(
        maps=usage(maps), counters=counters(by_name["count"]), denials=denials(by_name["denied"], by_name["ep"])
    )


def frontends(maps: Mapping[str, Map]) -> tuple[KernelFrontend, ...]:
    """Frontends with their backends, sorted by address and port."""
    backends = {
        int.from_bytes(key, sys.byteorder): _backend(Be.from_buffer_copy(value))
        for key, value in maps["be"].entries().items()
    }
    slots = {
        (row.set, row.slot): int.from_bytes(value, sys.byteorder)
        for row, value in ((SlotKey.from_buffer_copy(k), v) for k, v in maps["slot"].entries().items())
    }
    found = []
    for raw_key, raw_value in maps["fe"].entries().items():
        key, value = FeKey.from_buffer_copy(raw_key), Fe.from_buffer_copy(raw_value)
        if key.proto not in _PROTOCOLS:
            continue  # the entry that marks the address as a Service's
        ids = (slots.get((value.set, slot), 0) for slot in range(value.count))
        leads = tuple(backends[identity] for identity in ids if identity in backends)
        address = encode.address_back(bytes(key.addr))
        found.append(KernelFrontend(address, key.port, _PROTOCOLS[key.proto], key.scope, leads))
    return tuple(sorted(found, key=lambda f: (f.address.version, int(f.address), f.port, f.protocol, f.scope)))


def service_addresses(frontend_table: Map) -> frozenset[IPAddress]:
    """All addresses of Services."""
    return frozenset(encode.address_back(key[:16]) for key in frontend_table.entries())


def usage(maps: Mapping[str, Map]) -> tuple[MapUsage, ...]:
    """The usage of each table, sorted by name."""
    return tuple(
        MapUsage(short_name(name), _count(table), table.decl.max_entries, _memory(table))
        for name, table in sorted(maps.items())
        if table.decl.kind != SK_STORAGE
    )


def counters(table: Map) -> dict[str, int]:
    """Packets and socket calls by reason, without zeros."""
    counts = {reason.name.lower(): count(table, reason) for reason in Reason}
    return {name: number for name, number in counts.items() if number}


def count(table: Map, reason: Reason) -> int:
    """How often a program ended with this reason."""
    return table.lookup_sum(int(reason).to_bytes(4, sys.byteorder))


def denials(table: Map, endpoints: Map) -> tuple[Denial, ...]:
    """
    The number of denials by rule, pod and direction.

    Packets that have no address of their pod (broadcast, multicast) are counted by the pod's device, whose
    address `endpoints` (tw_ep) has. Those of a device that is no pod's any more are left out.
    """
    found = [(DeniedKey.from_buffer_copy(raw), count) for raw, count in table.sums().items()]
    pods = _pods_at(endpoints) if any(encode.is_device(bytes(key.pod)) for key, _ in found) else {}
    counts: Counter[tuple[int, bytes, int]] = Counter()
    for key, number in found:
        pod = bytes(key.pod)
        if not encode.is_device(pod) or pod in pods:
            counts[key.rule, pods.get(pod, pod), key.direction] += number
    return tuple(
        Denial(RuleId(rule), encode.address_back(pod), Direction(direction), number)
        for (rule, pod, direction), number in counts.items()
    )


def _pods_at(endpoints: Map) -> dict[bytes, bytes]:
    """One address of the pod at each device, IPv4 before IPv6, by the device's key."""
    found: dict[bytes, bytes] = {}
    for key, value in sorted(endpoints.entries().items()):
        ep = Ep.from_buffer_copy(value)
        if ep.kind == EpKind.POD and not encode.is_device(key):
            found.setdefault(encode.device(encode.Place(ep.ifindex, stamp=ep.stamp)), key)
    return found


def _backend(value: Be) -> tuple[IPAddress, int]:
    return encode.address_back(bytes(value.addr)), value.port


def _count(table: Map) -> int:
    if table.decl.kind in ARRAYS:
        return table.decl.max_entries
    return table.count()


# The kernel's own figure, for types of maps that account it. Source: bpf_map_show_fdinfo.
def _memory(table: Map) -> int:
    for line in Path(f"/proc/self/fdinfo/{table.descriptor}").read_text().splitlines():
        if line.startswith("memlock:"):
            return int(line.split()[1])
    return 0
