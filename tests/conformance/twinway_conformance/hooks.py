"""Hooks that a conftest.py may implement for this plugin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest


@pytest.hookspec(firstresult=True)
def pytest_twinway_drivers() -> Mapping[str, Sequence[str]] | None:
    """
    Drivers to test where the command line names none: name → pod devices.

    The tree's own conftest.py says it once; adding a driver adds one line.
    """
