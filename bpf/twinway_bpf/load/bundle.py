"""
Bundles: the compiled programs of one source, the maps they use, and the places that the loader fills in.

A bundle is a small JSON file. It loads without a compiler, on any kernel and machine of the architecture that it
was compiled for. Its key is a digest of the flattened source, so a bundle is never stale.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FORMAT = 1
FEATURES_PLACE = 0x7477206665617473
"""The 64-bit constant that the loader replaces with the features of this kernel (tw_features.h)."""

_LD_IMM64 = 0x18
_PSEUDO_MAP_FD = 1
_INSN = struct.Struct("=BBhi")


@dataclass(frozen=True, slots=True)
class MapDecl:
    """A map as the source declares it. Sizes are in bytes; `kind` and `flags` are the kernel's numbers."""

    name: str
    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Code:
    """A program: its 8-byte instructions, and an (instruction index, map name) for each map that it loads."""

    name: str
    instructions: bytes
    maps: tuple[tuple[int, str], ...]

    def bound(self, descriptors: dict[str, int], features: int) -> bytes:
        """The instructions, with the descriptors of maps and the kernel's features filled in."""
        code = bytearray(self.instructions)
        for index, name in self.maps:
            _write_imm64(code, index, descriptors[name], _PSEUDO_MAP_FD)
        for index in _features_places(self.instructions):
            _write_imm64(code, index, features, 0)
        return bytes(code)


@dataclass(frozen=True, slots=True)
class Bundle:
    """All programs of one source, and their maps by name."""

    key: str
    programs: dict[str, Code]
    maps: dict[str, MapDecl]


def key_of(text: str) -> str:
    """The key of the bundle that this flattened source compiles to."""
    return hashlib.sha256(f"{FORMAT}\n{text}".encode()).hexdigest()[:16]


def save(bundle: Bundle, path: Path) -> None:
    """Write a bundle. A reader never sees a part of it."""
    document = {
        "format": FORMAT,
        "key": bundle.key,
        "maps": [[m.name, m.kind, m.key_size, m.value_size, m.max_entries, m.flags] for m in bundle.maps.values()],
        "programs": [
            [c.name, base64.b64encode(c.instructions).decode(), [list(m) for m in c.maps]]
            for c in bundle.programs.values()
        ],
    }
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


def load(path: Path) -> Bundle:
    """Read a bundle. Raises ValueError if the file is not a bundle, or has another format."""
    try:
        document = json.loads(path.read_text())
        _expect_format(document["format"])
        maps = {row[0]: MapDecl(*row) for row in document["maps"]}
        programs = {
            name: Code(name, base64.b64decode(code), tuple((i, m) for i, m in places))
            for name, code, places in document["programs"]
        }
        return Bundle(document["key"], programs, maps)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: not a bundle: {error}") from error


def _expect_format(found: object) -> None:
    if found != FORMAT:
        raise ValueError(f"its format is {found}, not {FORMAT}")


def map_places(instructions: bytes, names: dict[int, str]) -> tuple[tuple[int, str], ...]:
    """The (instruction index, map name) of each instruction that loads a map; `names` has the descriptors."""
    return tuple(
        (index, names[imm])
        for index, (code, registers, _, imm) in enumerate(_INSN.iter_unpack(instructions))
        if code == _LD_IMM64 and registers >> 4 == _PSEUDO_MAP_FD
    )


def without_descriptors(instructions: bytes, places: Iterable[tuple[int, str]]) -> bytes:
    """The instructions with 0 for each map's descriptor, which differs from one compilation to the next."""
    code = bytearray(instructions)
    for index, _ in places:
        _write_imm64(code, index, 0, _PSEUDO_MAP_FD)
    return bytes(code)


def _features_places(instructions: bytes) -> list[int]:
    low, high = struct.unpack("=ii", struct.pack("=Q", FEATURES_PLACE))
    rows = list(_INSN.iter_unpack(instructions))
    return [
        index
        for index, (code, _, _, imm) in enumerate(rows[:-1])
        if code == _LD_IMM64 and imm == low and rows[index + 1][3] == high
    ]


# An ld_imm64 takes two slots. Their imm fields hold the halves of the value, the source register its kind.
def _write_imm64(code: bytearray, index: int, value: int, kind: int) -> None:
    low, high = struct.unpack("=ii", struct.pack("=Q", value))
    opcode, registers, offset, _ = _INSN.unpack_from(code, index * 8)
    _INSN.pack_into(code, index * 8, opcode, (registers & 0x0F) | (kind << 4), offset, low)
    opcode, registers, offset, _ = _INSN.unpack_from(code, index * 8 + 8)
    _INSN.pack_into(code, index * 8 + 8, opcode, registers, offset, high)
