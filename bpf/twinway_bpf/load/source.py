"""
Flatten a source: inline its quoted includes, each once, with `#line` directives.

BCC rewrites map accesses in its main file alone, so the whole program must be one file. With the directives,
the compiler's messages name the header that a line came from.
"""

from __future__ import annotations

import re
from pathlib import Path

KERNEL = Path(__file__).parents[1] / "kernel"
"""The directory of all BPF sources. BCC also uses it as the kernel's source tree."""

FLAGS = ("-Wall", "-Wno-unused-function")
"""Flags for the compiler."""

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def flatten(name: str, folder: Path = KERNEL) -> str:
    """
    The text of `name` with its quoted includes inlined.

    Angle-bracket includes stay, because they name the stub headers. Raises FileNotFoundError.
    """
    return "\n".join(_lines(name, folder, set())) + "\n"


def _lines(name: str, folder: Path, seen: set[str]) -> list[str]:
    seen.add(name)
    out = [f'#line 1 "{name}"']
    for number, line in enumerate((folder / name).read_text().splitlines(), 1):
        found = _INCLUDE.match(line)
        if not found:
            out.append(line)
            continue
        if found[1] not in seen:
            out += _lines(found[1], folder, seen)
        out.append(f'#line {number + 1} "{name}"')
    return out
