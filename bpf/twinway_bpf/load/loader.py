"""From bundles to loaded programs: maps opened, descriptors and features filled in, verifier asked."""

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

_LOG_SIZE = 1 << 20
_COMPILE_SECONDS = 600  # a minute natively at worst; emulated machines need the rest


class Loader:
    """Loads programs whose maps are shared through `pins`."""

    def __init__(self, pins: Pins, cache: Path, capacities: Mapping[str, int], section: str = "maps") -> None:
        """`capacities`: entries by a map's short name, where the default will not do; `section` holds them."""
        self._section = section
        self._earlier: dict[str, Map] = {}
        self._pins = pins
        self._cache = cache
        self._capacities = capacities
        self._bundles: dict[str, bundle.Bundle] = {}
        self.maps: dict[str, Map] = {}
        """Open maps by full name: those of every program loaded so far."""

    def load(self, programs: Iterable[Program]) -> dict[str, int]:
        """Descriptors of the programs by name. Raises LoadError with the verifier's log."""
        return {program.name: self._load(program) for program in programs}

    def open_maps(self, source: str) -> None:
        """Open or make every map of one source."""
        for decl in self._bundle(source).maps.values():
            if decl.name not in self.maps:
                table = self._open(decl)
                table.section = self._section
                self.maps[decl.name] = table

    def has_remade(self) -> bool:
        """Whether a table was made again in another size, so that programs of before look at the earlier one."""
        return bool(self._earlier)

    def let_earlier_go(self) -> None:
        """Take over what programs have noted in earlier tables meanwhile; nobody looks at those any more."""
        for name, earlier in self._earlier.items():
            if earlier.decl.kind == LRU_HASH:
                self.maps[name].insert(earlier.entries())
            os.close(earlier.descriptor)
        self._earlier = {}

    def _open(self, decl: MapDecl) -> Map:
        size = self._capacities.get(short_name(decl.name))
        found = self._pins.map(decl, size)
        size = size or decl.max_entries
        if short_name(decl.name) not in SIZED or found.decl.max_entries == size:
            return found
        entries = found.entries()
        if len(entries) > size and decl.kind != LRU_HASH:
            logger.warning(
                "a table stays as large as it is: it holds more than is asked for table=%s entries=%d key=%s",
                decl.name,
                len(entries),
                f"{self._section}.{short_name(decl.name)}",
            )
            return found
        made = maps.create(replace(decl, max_entries=size))
        made.write(entries)
        self._pins.replace_map(made)
        self._earlier[decl.name] = found
        logger.info("a table was made again table=%s entries=%d size=%d", decl.name, len(entries), size)
        return made

    def map(self, name: str) -> Map:
        """An open map by its name without the layout's version."""
        return next(table for full, table in self.maps.items() if full.rpartition("_v")[0] == name)

    def unpinned(self) -> tuple[str, ...]:
        """Open maps whose pin was lost: a later process would not find them."""
        return tuple(name for name in self.maps if self._pins.lacks(name))

    def keep(self) -> tuple[str, ...]:
        """Pin them again; which they were."""
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
    """The bundle of one source: from the cache, else compiled in a child process. Raises LoadError."""
    path = bundle_path(source, cache)
    if path.exists():
        try:
            return bundle.load(path)
        except ValueError as error:
            logger.warning("a bundle is damaged, compiling it again reason=%r", str(error))
    cache.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "twinway_bpf.load.compile", source, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LoadError(source, f"does not compile ({last}); is python3-bpfcc installed?", done.stderr)
    return bundle.load(path)


def bundle_path(source: str, cache: Path) -> Path:
    """Where the bundle of this source, as it is now, is kept."""
    return cache / f"{Path(source).stem}-{source_key(source)}.json"


def source_key(source: str) -> str:
    """Key of the bundle that this source, as it is now, compiles to: stub headers and flags included."""
    stubs = sorted((KERNEL / "include").rglob("*.h"))
    parts = [flatten(source), *FLAGS, *(stub.read_text() for stub in stubs)]
    return bundle.key_of("\n".join(parts))


def verified_instructions(descriptor: int) -> int:
    """Instructions the verifier processed for a program; 0 where the kernel does not tell (before 5.16)."""
    return int(libbpf.prog_info(descriptor).verified_insns)


def _refused(program: Program, code: bytes, error: OSError) -> LoadError:
    if error.errno == errno.EPERM:
        return LoadError(
            program.name, "the kernel does not let us: CAP_BPF and CAP_NET_ADMIN are needed (run as root)"
        )
    try:
        os.close(libbpf.prog_load(program.kind, program.attach, program.name, code, log_size=_LOG_SIZE))
        log = ""
    except libbpf.RefusedError as again:
        log = again.log
    reason = next((line for line in reversed(log.splitlines()[:-1]) if line.strip()), error.strerror or "refused")
    return LoadError(program.name, f"the verifier refuses it: {reason}", _with_source_lines(program) or log)


# The bundle has no source lines; BCC, where it is installed, prints the verifier's words beside them.
def _with_source_lines(program: Program) -> str:
    command = [sys.executable, "-m", "twinway_bpf.load.compile", "--explain", program.name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stderr if "processed" in done.stderr else ""
