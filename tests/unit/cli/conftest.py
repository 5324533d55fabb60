"""A site with an agent that serves one pod and one Service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agents import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Folders for agents; what runs is ended afterwards."""
    made = Site(tmp_path)
    yield made
    made.close()
