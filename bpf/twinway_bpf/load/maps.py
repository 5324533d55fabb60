"""BPF maps. Entries are bytes, calls are batched where the kernel supports it, and errors say what to do."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from twinway.errors import MapError
from twinway_bpf.load import libbpf
from twinway_bpf.load.bundle import MapDecl

BATCH = 4096
"""Entries per batched call: about a megabyte."""

LRU_HASH = 9
SK_STORAGE = 24
PER_CPU = frozenset({5, 6, 10})
"""Map types that have one value per CPU: hash, array, LRU hash."""
ARRAYS = frozenset({2, 6})
"""Map types whose entries always exist."""


@dataclass(slots=True)
class Map:
    """An open map. Keys and values are bytes of exactly the declared sizes."""

    decl: MapDecl
    descriptor: int
    section: str = field(default="maps", kw_only=True)
    """The section of the node config that sets the map's size."""

    @property
    def name(self) -> str:
        """The map's name, with the layout version."""
        return self.decl.name

    def lookup(self, key: bytes) -> bytes | None:
        """The value of one key, or None."""
        try:
            return libbpf.map_lookup(self.descriptor, key, self.decl.value_size)
        except KeyError:
            return None

    def lookup_sum(self, key: bytes) -> int:
        """The sum over all CPUs of a per-CPU counter."""
        cpus = possible_cpus()
        try:
            values = libbpf.map_lookup(self.descriptor, key, 8 * cpus)
        except KeyError:
            return 0
        return sum(struct.unpack(f"={cpus}Q", values))

    def sums(self) -> dict[bytes, int]:
        """The sum for each key of a per-CPU counter. Keys that disappear during the read are left out."""
        found = ((key, self.lookup_sum(key)) for key in list(self._keys()))
        return {key: count for key, count in found if count}

    # One call per key, for small maps and for kernels without batches.
    def _keys(self) -> Iterator[bytes]:
        key = libbpf.map_next_key(self.descriptor, None, self.decl.key_size)
        while key is not None:
            yield key
            key = libbpf.map_next_key(self.descriptor, key, self.decl.key_size)

    def count(self) -> int:
        """The number of entries."""
        if self.decl.kind in PER_CPU:
            return sum(1 for _ in self._keys())
        try:
            return sum(count for _, _, count in self._batches())
        except OSError as error:
            if error.errno not in _NO_BATCH:
                raise self._error("read", error) from error
        return sum(1 for _ in self._keys())

    def entries(self) -> dict[bytes, bytes]:
        """All entries. Raises MapError for per-CPU maps, which have a value for each CPU."""
        if self.decl.kind in PER_CPU:
            raise MapError(self.name, "read", "it has a value for each CPU: use the sum of one key")
        try:
            return self._entries_batched()
        except OSError as error:
            if error.errno not in _NO_BATCH:
                raise self._error("read", error) from error
        found = ((key, self.lookup(key)) for key in self._keys())
        return {key: value for key, value in found if value is not None}

    def batches(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Concatenated keys, concatenated values and their number, by batch. Entries may change in between."""
        return self._batches()

    def write(self, entries: Mapping[bytes, bytes]) -> None:
        """Write entries. Raises MapError at the first that fails; those before it have been written."""
        keys, values = list(entries), list(entries.values())
        for start in range(0, len(keys), BATCH):
            part = keys[start : start + BATCH], values[start : start + BATCH]
            try:
                self._write_batch(*part)
            except OSError as error:
                if error.errno not in _NO_BATCH:
                    raise self._error("write", error) from error
                self._write_singly(*part)

    def insert(self, entries: Mapping[bytes, bytes]) -> int:
        """Write the entries whose key does not exist yet, and return their number."""
        try:
            return sum(libbpf.map_insert(self.descriptor, key, value) for key, value in entries.items())
        except OSError as error:
            raise self._error("insert", error) from error

    def remove(self, keys: Iterable[bytes]) -> int:
        """Remove entries, and return how many of the keys existed."""
        try:
            return sum(libbpf.map_delete(self.descriptor, key) for key in keys)
        except OSError as error:
            raise self._error("remove", error) from error

    def _entries_batched(self) -> dict[bytes, bytes]:
        out: dict[bytes, bytes] = {}
        key_size, value_size = self.decl.key_size, self.decl.value_size
        for keys, values, count in self._batches():
            for i in range(count):
                out[keys[i * key_size : (i + 1) * key_size]] = values[i * value_size : (i + 1) * value_size]
        return out

    def _batches(self) -> Iterator[tuple[bytes, bytes, int]]:
        sizes = self.decl.key_size, self.decl.value_size
        cursor: bytes | None = None
        room = BATCH
        while True:
            try:
                keys, values, count, cursor = libbpf.map_lookup_batch(self.descriptor, cursor, sizes, room)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                room *= 2  # one bucket of the hash has more entries than there was room for
                continue
            yield keys, values, count
            if cursor is None:
                return

    def _write_batch(self, keys: list[bytes], values: list[bytes]) -> None:
        if len(keys) == 1:
            libbpf.map_update(self.descriptor, keys[0], values[0])
            return
        libbpf.map_update_batch(self.descriptor, b"".join(keys), b"".join(values), len(keys))

    def _write_singly(self, keys: list[bytes], values: list[bytes]) -> None:
        try:
            for key, value in zip(keys, values, strict=True):
                libbpf.map_update(self.descriptor, key, value)
        except OSError as error:
            raise self._error("write", error) from error

    def _error(self, operation: str, error: OSError) -> MapError:
        number = error.errno or 0
        if number in (errno.E2BIG, errno.ENOSPC):
            key = f"{self.section}.{short_name(self.name)}"
            reason = f"full at {self.decl.max_entries} entries: raise {key} in the node config"
        else:
            reason = os.strerror(number)
        return MapError(self.name, operation, reason, number)


# A map type without batches answers EINVAL, on newer kernels ENOTSUPP (524).
_NO_BATCH = frozenset({errno.EINVAL, errno.EOPNOTSUPP, 524})


def short_name(name: str) -> str:
    """The name in configuration and output: `tw_slot_v1` is "slot"."""
    return name.removeprefix("tw_").rpartition("_v")[0]


@cache
def possible_cpus() -> int:
    """CPUs that the kernel reserves per-CPU memory for. Source: Documentation/admin-guide/cputopology.rst."""
    text = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(text.rpartition(",")[2].rpartition("-")[2]) + 1


def create(decl: MapDecl) -> Map:
    """Create a map of this shape. Raises MapError."""
    try:
        if decl.kind != SK_STORAGE:
            return Map(decl, _create(decl))
        btf = libbpf.storage_btf(decl.value_size)
        try:
            return Map(decl, _create(decl, btf))
        finally:
            os.close(btf)
    except OSError as error:
        raise MapError(decl.name, "create", os.strerror(error.errno or 0), error.errno or 0) from error


def _create(decl: MapDecl, btf: int = 0) -> int:
    return libbpf.map_create(
        decl.kind, decl.name, decl.key_size, decl.value_size, decl.max_entries, decl.flags, btf=btf
    )


def open_pinned(decl: MapDecl, path: Path) -> Map | None:
    """
    The map pinned at `path`, or None.

    Raises MapError if the pinned map has another type, or other sizes of key or value: the kernel does not check
    them, and a program would read and write past the values. The pinned map keeps its capacity.
    """
    try:
        descriptor = libbpf.obj_get(str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MapError(decl.name, f"open {path}", os.strerror(error.errno or 0), error.errno or 0) from error
    info = libbpf.map_info(descriptor)
    found = (info.type, info.key_size, info.value_size)
    wanted = (decl.kind, decl.key_size, decl.value_size)
    if found != wanted:
        os.close(descriptor)
        reason = (
            f"has another shape (type, key, value {found}, not {wanted}): remove the file, or use another bpffs"
        )
        raise MapError(decl.name, f"open {path}", reason)
    sized = MapDecl(decl.name, decl.kind, decl.key_size, decl.value_size, info.max_entries, decl.flags)
    return Map(sized, descriptor)
