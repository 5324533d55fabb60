"""The look-ups of the programs, written again in Python: verdicts and backends from raw entries alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tests.unit.bpf.recording import Contents
from twinway.model.net import IPAddress
from twinway.model.node import Action
from twinway.model.policy import Direction
from twinway_bpf.tables.encode import VERDICT_PREFIX, address
from twinway_bpf.tables.layout import Be, Class, ClassKey, Ep, EpKind, Fe, FeKey, SlotKey, Verdict, VerdictKey

TRIES = 2
"""The number of look-ups of a frontend when its slots are gone (service.h)."""


def longest(entries: Mapping[bytes, bytes], wanted: bytes) -> bytes | None:
    """The value of the longest prefix that contains `wanted`, an LPM key whose first four bytes are its length."""
    found: tuple[int, bytes | None] = (-1, None)
    number, width = int.from_bytes(wanted[4:], "big"), (len(wanted) - 4) * 8
    for key, value in entries.items():
        bits = int.from_bytes(key[:4], sys.byteorder)
        differs = (int.from_bytes(key[4:], "big") ^ number) >> (width - bits)
        if bits <= int.from_bytes(wanted[:4], sys.byteorder) and not differs and bits > found[0]:
            found = (bits, value)
    return found[1]


def class_of(tables: Contents, peer: IPAddress, generation: int) -> int:
    """policy_class() of policy.h."""
    key = ClassKey(prefixlen=128)
    key.addr[:] = address(peer)
    value = longest(tables["tw_class_v1"], bytes(key))
    return int(Class.from_buffer_copy(value).id[generation & 1]) if value else 0


def verdict(tables: Contents, pod: IPAddress, direction: Direction, peer: IPAddress, port: int) -> Action | None:
    """The verdict on a TCP connection at one end, or None if no pod has the address."""
    raw = tables["tw_ep_v3"].get(address(pod))
    ep = Ep.from_buffer_copy(raw) if raw else None
    if ep is None or ep.kind != EpKind.POD:
        return None
    if not ep.policy:
        return Action.ALLOW
    key = VerdictKey(prefixlen=VERDICT_PREFIX + 16, direction=direction, proto=6, set=ep.policy, port=port)
    for key.class_id in (class_of(tables, peer, ep.gen), 0):
        value = longest(tables["tw_verdict_v1"], bytes(key))
        if value:
            return Action(Verdict.from_buffer_copy(value).action)
    return Action.DENY


def backend(tables: Contents, where: tuple[IPAddress, int, int], random: int) -> tuple[bytes, int] | str:
    """service_choose() of service.h: the address and port of a backend, or the reason why there is none."""
    key = FeKey(port=where[1], proto=where[2])
    key.addr[:] = address(where[0])
    for _ in range(TRIES):
        raw = tables["tw_fe_v1"].get(bytes(key))
        if raw is None:
            return "no port" if bytes(key.addr) + bytes(4) in tables["tw_fe_v1"] else "no service"
        fe = Fe.from_buffer_copy(raw)
        if not fe.count:
            return "no backend"
        identity = tables["tw_slot_v1"].get(bytes(SlotKey(set=fe.set, slot=random % fe.count)))
        value = tables["tw_be_v1"].get(identity) if identity else None
        if value:
            be = Be.from_buffer_copy(value)
            return bytes(be.addr), int(be.port)
    return "race"
