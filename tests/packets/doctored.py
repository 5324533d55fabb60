"""The real programs with something of their surroundings changed: another kernel, another table."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.packets.rig import Rig
from twinway_bpf.load import features, libbpf, maps, programs
from twinway_bpf.load.loader import Loader, ensure_bundle

HASH, PER_CPU_HASH = 1, 5
"""Kinds of maps. Source: include/uapi/linux/bpf.h, enum bpf_map_type."""


@contextlib.contextmanager
def doctored(
    loader: Loader,
    cache: Path,
    rig: Rig,
    *,
    kinds: Mapping[str, int] | None = None,
    bits: int | None = None,
    chosen: Sequence[programs.Program] = programs.PACKET,
) -> Iterator[Rig]:
    """
    A rig whose programs (`chosen`, all of one source) take `bits` for the kernel's features, and use a table
    of other kinds.

    A table in `kinds` (by full name) is an empty hash with room for one entry: it can lack an
    entry, and it can be full.
    """
    bundle = ensure_bundle(chosen[0].source, cache)
    found = features.bits() if bits is None else bits
    with contextlib.ExitStack() as stack:
        descriptors = {name: table.descriptor for name, table in loader.maps.items()}
        for name, kind in (kinds or {}).items():
            made = maps.create(replace(bundle.maps[name], kind=kind, max_entries=1, flags=0))
            stack.callback(os.close, made.descriptor)
            descriptors[name] = made.descriptor
        loaded = {}
        for program in chosen:
            code = bundle.programs[program.name].bound(descriptors, found)
            loaded[program.name] = libbpf.prog_load(program.kind, program.attach, program.name, code)
            stack.callback(os.close, loaded[program.name])
        yield Rig(rig.tables, loaded, rig.devices)
