"""
The last results of the conformance suite by kernel, in suite.json, for docs/kernels.md.

The suite takes hours under emulation, too long to run it each time the page is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("suite.json")
TESTS = Path(__file__).resolve().parents[1] / "conformance/twinway_conformance"
COLUMNS = ("kernel", "driver", "device", "passed", "not applicable", "failed", "never run", "options")
_MARK = re.compile(r'@pytest\.mark\.row\("([^"]+)"\)')
_ROW = re.compile(r"^\| `(?P<row>[^`]+)` \| .* \| (?P<outcome>pass|FAIL|n/a)[^|]* \|$", re.MULTILINE)


def outcomes(table: str) -> dict[str, str]:
    """The outcomes by row, from the table that the suite wrote for one driver on one device."""
    return {found["row"]: found["outcome"] for found in _ROW.finditer(table)}


def record(target: tuple[str, str, str], asked: str, table: str, file: Path = FILE) -> None:
    """Add the results of a run to `file`. They replace earlier results of the same rows."""
    kept = _kept(file)
    entry = kept.setdefault("/".join(target), {"asked": [], "rows": {}})
    entry["asked"] = sorted({*entry["asked"], asked})
    entry["rows"] = dict(sorted({**entry["rows"], **outcomes(table)}.items()))
    file.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def rows(folder: Path = TESTS) -> list[str]:
    """The sorted names of all rows of the semantics table."""
    return sorted(row for file in folder.glob("test_*.py") for row in _MARK.findall(file.read_text()))


def lines(file: Path = FILE) -> Iterator[tuple[str, ...]]:
    """One line of the page's table for each kernel, driver and device."""
    for target, entry in sorted(_kept(file).items()):
        by = {word: [row for row, outcome in entry["rows"].items() if outcome == word] for word in _WORDS}
        named = [by["FAIL"], [row for row in rows() if row not in entry["rows"]]]
        counts = (str(len(by["pass"])), str(len(by["n/a"])), *(", ".join(some) or "none" for some in named))
        yield (*target.split("/"), *counts, "; ".join(f"`{asked}`" for asked in entry["asked"]))


_WORDS = ("pass", "n/a", "FAIL")


def _kept(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.is_file() else {}
