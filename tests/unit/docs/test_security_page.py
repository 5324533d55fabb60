"""docs/security.md names rows of the suite, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SUITE = ROOT / "tests/conformance/twinway_conformance"


def test_rows_exist() -> None:
    """Every row that the page gives as evidence is a row of the suite."""
    page = (ROOT / "docs/security.md").read_text()
    table = page.partition("## Promises")[2].partition("## Limits")[0]
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", table))
    rows = {row for path in SUITE.glob("test_*.py") for row in re.findall(r'row\("([\w-]+)"\)', path.read_text())}
    assert named
    assert named <= rows
