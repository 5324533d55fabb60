"""A third party's driver, installed from its own distribution: the suite runs it, and finds just what it lacks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ("twinway_conformance.test_services_reach", "twinway_conformance.test_policy_isolation")
FREE = {"headless", "no-service", "np-rules-without-type", "np-empty-rule"}
"""Rows that ask nothing of a driver but to leave traffic alone."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the noop driver is installed beside the tree's own."""
    place = tmp_path_factory.mktemp("noop")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            place,
            ROOT / "examples/driver-noop",
        ],
        check=True,
        timeout=120,
    )
    return os.environ | {"PYTHONPATH": str(place)}


def test_it_is_known(installed: dict[str, str]) -> None:
    """`twinway check` lists the driver, and what a wrong name is told names it."""
    program = str(Path(sys.executable).with_name("twinway"))
    done = subprocess.run(
        [program, "check", "--driver", "nop"],
        env=installed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "noop" in done.stderr + done.stdout


@pytest.mark.timeout(600)
def test_suite_finds_it_wanting(installed: dict[str, str], tmp_path: Path) -> None:
    """With a driver that does nothing, the rows that ask for nothing pass, and every other one fails."""
    path = tmp_path / "semantics.md"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=line",
        "-p",
        "no:cacheprovider",
        "--pyargs",
        *MODULES,
        "--driver",
        "noop",
        "--family",
        "4",
        "--semantics",
        str(path),
    ]
    done = subprocess.run(
        command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=580
    )
    assert done.returncode == 1, done.stdout[-2000:]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .* \| (\S+) \|$", path.read_text(), re.MULTILINE))
    assert {row for row, outcome in rows.items() if outcome == "pass"} == FREE
    assert set(rows.values()) == {"pass", "FAIL"}
    assert len(rows) >= 25
