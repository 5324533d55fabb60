"""A lab for each test that asks for one; nothing of it is left, whatever the test did."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.labs import Lab

NUMBERS = itertools.count()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab that is not up yet."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and mounts")
    made = Lab(f"test-{os.getpid()}-{next(NUMBERS)}", tmp_path)
    try:
        yield made
    finally:
        made.do("down")
        assert made.traces() == []
