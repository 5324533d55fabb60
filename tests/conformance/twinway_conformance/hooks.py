"""Hooks of this plugin that a conftest.py may implement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest


@pytest.hookspec(firstresult=True)
def pytest_twinway_drivers() -> Mapping[str, Sequence[str]] | None:
    """
    The drivers to test where the command line names none, each with its pod devices.

    The conftest.py of a tree implements it.
    """
