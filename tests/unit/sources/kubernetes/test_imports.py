"""What the client costs, costs only those who connect."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("kubernetes", "urllib3", "requests")


@pytest.mark.parametrize(
    "module",
    [
        "twinway.cli.main",
        "twinway.agent",
        "twinway.config",
        "twinway.sources.manifests.source",
        "twinway.sources.kubernetes.source",
    ],
)
def test_nobody_imports_the_client_before_it_is_needed(module):
    """It is imported when the first connection is made."""
    words = f"import sys, {module}; print([each for each in {HEAVY} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
