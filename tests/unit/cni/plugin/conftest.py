"""The plugin's binary, built once for all tests here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[4] / "cni" / "plugin"


@pytest.fixture(scope="session")
def plugin() -> Path:
    """The real binary, made by its own Makefile."""
    from twinway_cni.plugin import plugin_path

    subprocess.run(["make", "--silent", "-C", SOURCES], check=True)
    return plugin_path()
