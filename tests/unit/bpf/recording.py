"""Real maps that record each write, and can stop after any of them, like a process that is killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from twinway_bpf.load import maps
from twinway_bpf.load.bundle import MapDecl
from twinway_bpf.load.maps import Map
from twinway_bpf.tables.layout import STRUCTS

HASH, LPM_TRIE = 1, 11
NO_PREALLOC = 1
U64 = 8

SHAPES = {
    "tw_fe_v1": (HASH, "tw_fe_key", "tw_fe"),
    "tw_udpbe_v1": (HASH, "tw_end", None),
    "tw_slot_v1": (HASH, "tw_slot_key", None),
    "tw_be_v1": (HASH, None, "tw_be"),
    "tw_ep_v3": (HASH, "tw_addr", "tw_ep"),
    "tw_class_v1": (LPM_TRIE, "tw_class_key", "tw_class"),
    "tw_verdict_v1": (LPM_TRIE, "tw_verdict_key", "tw_verdict"),
}
"""The type of each map, and the structs of key and value (None: a 64-bit number), as in tw_maps.h."""

Contents = dict[str, dict[bytes, bytes]]
"""The entries of maps by name."""


class Killed(BaseException):
    """The process is killed here. No code under test may catch it."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of an entry, or its removal if `value` is None."""

    table: str
    key: bytes
    value: bytes | None


@dataclass(slots=True)
class Log:
    """All writes in their order."""

    writes: list[Write] = field(default_factory=list)
    _budget: int | None = None
    _end: BaseException = field(default_factory=Killed)

    @contextlib.contextmanager
    def ending(self, after: int, end: BaseException) -> Iterator[None]:
        """Raise `end` in the block after `after` writes."""
        self._budget, self._end = len(self.writes) + after, end
        try:
            yield
        finally:
            self._budget = None

    def note(self, write: Write) -> None:
        """Record a write before it is done, or raise the end instead."""
        if self._budget is not None and len(self.writes) >= self._budget:
            raise self._end
        self.writes.append(write)


@dataclass(slots=True)
class RecordedMap(Map):
    """A real map that records each write before it does it, one by one."""

    log: Log

    def write(self, entries: Mapping[bytes, bytes]) -> None:
        """Like `Map.write`, in the given order."""
        for key, value in entries.items():
            self.log.note(Write(self.name, key, value))
            Map.write(self, {key: value})

    def remove(self, keys: Iterable[bytes]) -> int:
        """Like `Map.remove`, in the given order."""
        count = 0
        for key in keys:
            self.log.note(Write(self.name, key, None))
            count += Map.remove(self, [key])
        return count


@contextlib.contextmanager
def recorded(log: Log, **capacities: int) -> Iterator[dict[str, Map]]:
    """New maps for all tables, by short name, that record to `log`."""
    made: dict[str, Map] = {}
    try:
        for name, (kind, key, value) in SHAPES.items():
            short = maps.short_name(name)
            room = capacities.get(short, 4096)
            plain = maps.create(MapDecl(name, kind, _size(key), _size(value), room, NO_PREALLOC))
            made[short] = RecordedMap(plain.decl, plain.descriptor, log)
        yield made
    finally:
        for each in made.values():
            os.close(each.descriptor)


def contents(tables: Mapping[str, Map]) -> Contents:
    """The present entries in the kernel."""
    return {table.name: table.entries() for table in tables.values()}


def replayed(before: Contents, writes: Iterable[Write]) -> Iterator[Contents]:
    """The entries before the first of `writes` and after each one. It is the same mapping, changed in place."""
    now = {name: dict(entries) for name, entries in before.items()}
    yield now
    for write in writes:
        if write.value is None:
            now[write.table].pop(write.key, None)
        else:
            now[write.table][write.key] = write.value
        yield now


def _size(struct: str | None) -> int:
    import ctypes

    return ctypes.sizeof(STRUCTS[struct]) if struct else U64
