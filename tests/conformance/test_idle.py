"""The suite with policy at sockets that becomes idle at once, so that most packets meet no program there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULES = ("test_policy_isolation", "test_policy_exempt", "test_policy_change", "test_fuzz")
CONFIG = "drivers: {sockops: {idle_after: 0}}\n"


@pytest.mark.timeout(600)
def test_suite_holds(tmp_path: Path) -> None:
    """While policy at sockets is idle, isolation, exemptions, changes and random clusters hold as well."""
    config = tmp_path / "node.yaml"
    config.write_text(CONFIG)
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--pyargs"]
    modules = [f"twinway_conformance.{name}" for name in MODULES]
    done = subprocess.run(
        [
            *command,
            *modules,
            "--driver",
            "sockops",
            "--node-config",
            str(config),
            "-m",
            "policy and not driver_change",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= 30
