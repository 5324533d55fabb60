"""
Pods' shares of the connection tables (kernel/share.h): their size, and the removal of expired entries.

Programs evict an entry when they need its place, and remove nothing else. So expired entries, and those of pods
that are gone, keep their memory until the sweep of this module removes them, a part at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

from twinway_bpf.load.maps import Map
from twinway_bpf.tables import clock
from twinway_bpf.tables.layout import Ct, CtFlag, CtKey, Ep, EpKind, Limit, ShareKey, Udp

FULL_SHARES = 32
"""This many full shares fill a table. A pod has two: one as initiator, one as responder."""
WAYS = 8
"""TW_SHARE_WAYS: the entries of one window."""
SWEEP_SECONDS = 60.0
"""The time from the end of one sweep to the start of the next."""
IDLE_TCP, IDLE_TCP_UNANSWERED, IDLE_HALF_CLOSED, IDLE_CLOSED, IDLE_UDP = 432000, 112, 3353, 60, 180
"""Timeouts in seconds, as in kernel/idle.h."""

_TCP = 6
_PAUSE = 0.02
_ADDRESS = slice(0, 16)
_OTHER_ADDRESS = slice(CtKey.end.size // 2, CtKey.end.size // 2 + 16)


def windows(table: Map) -> int:
    """The number of windows that a share of this table may have."""
    return max(1, table.decl.max_entries // FULL_SHARES // WAYS)


def write_limits(limits: Map, connections: Map, datagrams: Map) -> None:
    """Write the limits of shares, which the programs read."""
    found = {Limit.CT: windows(connections), Limit.UDP: windows(datagrams)}
    limits.write({_u32(key): _u32(value) for key, value in found.items()})


def _u32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def connection_expired(key: bytes, value: bytes, now: int) -> bool:
    """Whether an entry of tw_ct has expired, as ct_expired() decides."""
    entry = Ct.from_buffer_copy(value)
    longest = IDLE_UDP
    if key[CtKey.proto.offset] == _TCP:
        longest = IDLE_TCP if entry.flags & CtFlag.REPLIED else IDLE_TCP_UNANSWERED
        if entry.flags & CtFlag.CLOSING:
            longest = IDLE_HALF_CLOSED
        if entry.flags & CtFlag.FIN_BOTH:
            longest = IDLE_CLOSED
    return _silent(entry.seen, now) > longest


def note_expired(key: bytes, value: bytes, now: int) -> bool:
    """Whether an entry of tw_udp has expired, as udp_idle() decides."""
    entry = Udp.from_buffer_copy(value)
    longest = IDLE_UDP
    if key[CtKey.proto.offset] == _TCP:
        longest = IDLE_TCP if entry.answered else IDLE_TCP_UNANSWERED
    return _silent(entry.seen, now) > longest


# A program may have read a later time than the agent.
def _silent(seen: int, now: int) -> int:
    idle = (now - seen) & 0xFFFFFFFF
    return 0 if idle > 0x7FFFFFFF else idle


Expired = Callable[[bytes, bytes, int], bool]


class Sweep:
    """Removes expired entries, and those of addresses that no pod of the node has."""

    def __init__(self, find: Callable[[str], Map]) -> None:
        """`find` returns an open map by its name."""
        self._find = find
        self._parts: Iterator[None] | None = None
        self._next = 0.0

    def step(self) -> float | None:
        """Sweep one part; return the seconds until the next part is due, or None at the end of the sweep."""
        if self._parts is None:
            if time.monotonic() < self._next:
                return None
            self._parts = self._run()
        try:
            next(self._parts)
        except StopIteration:
            self._parts = None
            self._next = time.monotonic() + SWEEP_SECONDS
            return None
        return _PAUSE

    def _run(self) -> Iterator[None]:
        for name, expired in (("tw_ct", connection_expired), ("tw_udp", note_expired)):
            yield from self._entries(self._find(name), expired)
            yield from self._windows(self._find(f"{name}_share"))

    def _entries(self, table: Map, expired: Expired) -> Iterator[None]:
        size, width = table.decl.key_size, table.decl.value_size
        for keys, values, count in table.batches():
            now, pods = clock.now(), self._pods()
            for i in range(count):
                key = keys[i * size : (i + 1) * size]
                lost = key[_ADDRESS] not in pods and key[_OTHER_ADDRESS] not in pods
                if not lost and not expired(key, values[i * width : (i + 1) * width], now):
                    continue
                # a packet may have renewed it since the batch was read
                fresh = table.lookup(key)
                if fresh is not None and (lost or expired(key, fresh, clock.now())):
                    table.remove([key])
            yield

    def _windows(self, table: Map) -> Iterator[None]:
        size = table.decl.key_size
        for keys, _, count in table.batches():
            pods = self._pods()
            found = (keys[i * size : (i + 1) * size] for i in range(count))
            table.remove([key for key in found if key[ShareKey.addr.offset : ShareKey.addr.size] not in pods])
            yield

    def _pods(self) -> frozenset[bytes]:
        entries = self._find("tw_ep").entries().items()
        return frozenset(key for key, value in entries if Ep.from_buffer_copy(value).kind == EpKind.POD)
