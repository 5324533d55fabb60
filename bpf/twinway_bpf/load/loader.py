"""
Load programs from bundles.

The loader opens or creates the maps of a bundle, fills descriptors and features into the instructions,
and has the verifier load them.
"""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from twinway.errors import LoadError
from twinway_bpf.load import bundle, features, libbpf, maps
from twinway_bpf.load.bundle import MapDecl
from twinway_bpf.load.maps import LRU_HASH, Map, short_name
from twinway_bpf.load.options import SIZED
from twinway_bpf.load.pins import Pins
from twinway_bpf.load.programs import Program
from twinway_bpf.load.source import FLAGS, KERNEL, flatten

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[1] / "bundles"
"""Bundles that an image has from its build. A source that is not among them, as it is now, is compiled."""

_LOG_SIZE = 1 << 20
_COMPILE_SECONDS = 600  # a minute at worst on real hardware; emulated machines take longer


class Loader:
    """Loads programs whose maps are shared through `pins`."""

    def __init__(self, pins: Pins, cache: Path, capacities: Mapping[str, int], section: str = "maps") -> None:
        """
        `capacities` gives the entries of maps, by short name, that differ from the default.

        `section` is the part of the node config that they come from, for messages.
        """
        self._section = section
        self._earlier: dict[str, Map] = {}
        self._pins = pins
        self._cache = cache
        self._capacities = capacities
        self._bundles: dict[str, bundle.Bundle] = {}
        self.maps: dict[str, Map] = {}
        """Open maps by full name, of all programs loaded so far."""

    def load(self, programs: Iterable[Program]) -> dict[str, int]:
        """Load programs and return their descriptors by name. Raises LoadError with the verifier's log."""
        return {program.name: self._load(program) for program in programs}

    def open_maps(self, source: str) -> None:
        """Open or create every map of one source."""
        for decl in self._bundle(source).maps.values():
            if decl.name not in self.maps:
                table = self._open(decl)
                table.section = self._section
                self.maps[decl.name] = table

    def has_remade(self) -> bool:
        """Whether a map was created again in another size. Programs loaded before still use the earlier map."""
        return bool(self._earlier)

    def let_earlier_go(self) -> None:
        """
        Copy what programs wrote to earlier maps in the meantime, and close those maps.

        Call it when no program uses an earlier map.
        """
        for name, earlier in self._earlier.items():
            if earlier.decl.kind == LRU_HASH:
                self.maps[name].insert(earlier.entries())
            os.close(earlier.descriptor)
        self._earlier = {}

    def close(self) -> None:
        """Close every map; programs that were loaded keep theirs."""
        for table in (*self.maps.values(), *self._earlier.values()):
            os.close(table.descriptor)
        self.maps, self._earlier = {}, {}

    def _open(self, decl: MapDecl) -> Map:
        size = self._capacities.get(short_name(decl.name))
        found = self._pins.map(decl, size)
        size = size or decl.max_entries
        if short_name(decl.name) not in SIZED or found.decl.max_entries == size:
            return found
        entries = found.entries()
        if len(entries) > size and decl.kind != LRU_HASH:
            logger.warning(
                "kept the size of a table, which holds more entries than its new size table=%s entries=%d key=%s",
                decl.name,
                len(entries),
                f"{self._section}.{short_name(decl.name)}",
            )
            return found
        made = maps.create(replace(decl, max_entries=size))
        made.write(entries)
        self._pins.replace_map(made)
        self._earlier[decl.name] = found
        logger.info("resized a table table=%s entries=%d size=%d", decl.name, len(entries), size)
        return made

    def map(self, name: str) -> Map:
        """An open map by its name without the layout's version."""
        return next(table for full, table in self.maps.items() if full.rpartition("_v")[0] == name)

    def unpinned(self) -> tuple[str, ...]:
        """Names of open maps whose pin is missing. A later process would not find them."""
        return tuple(name for name in self.maps if self._pins.lacks(name))

    def keep(self) -> tuple[str, ...]:
        """Pin again the maps whose pin is missing, and return their names."""
        lost = self.unpinned()
        for name in lost:
            self._pins.keep(self.maps[name])
        return lost

    def _load(self, program: Program) -> int:
        self.open_maps(program.source)
        descriptors = {name: table.descriptor for name, table in self.maps.items()}
        code = self._bundle(program.source).programs[program.name].bound(descriptors, features.bits())
        try:
            return libbpf.prog_load(program.kind, program.attach, program.name, code)
        except OSError as error:
            raise _refused(program, code, error) from error

    def _bundle(self, source: str) -> bundle.Bundle:
        if source not in self._bundles:
            self._bundles[source] = ensure_bundle(source, self._cache)
        return self._bundles[source]


def ensure_bundle(source: str, cache: Path) -> bundle.Bundle:
    """The bundle of one source: shipped, from the cache, or compiled in a child process. Raises LoadError."""
    shipped = bundle_path(source, SHIPPED)
    path = shipped if shipped.exists() else bundle_path(source, cache)
    if path.exists():
        try:
            return bundle.load(path)
        except ValueError as error:
            logger.warning("compiling a damaged bundle again reason=%r", str(error))
    path = bundle_path(source, cache)
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "twinway_bpf.load.compile", source, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LoadError(source, f"does not compile ({last}); is python3-bpfcc installed?", done.stderr)
    return bundle.load(path)


def bundle_path(source: str, cache: Path) -> Path:
    """The cache file for the bundle of this source as it is now."""
    return cache / f"{Path(source).stem}-{source_key(source)}.json"


def source_key(source: str) -> str:
    """The key of this source's bundle: a digest of the source, the stub headers and the compiler's flags."""
    stubs = sorted((KERNEL / "include").rglob("*.h"))
    parts = [flatten(source), *FLAGS, *(stub.read_text() for stub in stubs)]
    return bundle.key_of("\n".join(parts))


def _refused(program: Program, code: bytes, error: OSError) -> LoadError:
    if error.errno == errno.EPERM:
        return LoadError(
            program.name, "the kernel does not permit it: CAP_BPF and CAP_NET_ADMIN are needed (run as root)"
        )
    try:
        os.close(libbpf.prog_load(program.kind, program.attach, program.name, code, log_size=_LOG_SIZE))
        log = ""
    except libbpf.RefusedError as again:
        log = again.log
    reason = next((line for line in reversed(log.splitlines()[:-1]) if line.strip()), error.strerror or "refused")
    return LoadError(program.name, f"the verifier refuses it: {reason}", _with_source_lines(program) or log)


# A bundle has no source lines. Where BCC is installed, it prints the verifier's log beside them.
def _with_source_lines(program: Program) -> str:
    command = [sys.executable, "-m", "twinway_bpf.load.compile", "--explain", program.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr if "processed" in done.stderr else ""
