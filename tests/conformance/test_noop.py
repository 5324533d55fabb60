"""The suite tests a third party's driver, installed from its own distribution, and finds exactly what it lacks."""

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
"""Rows that a driver passes if it leaves traffic alone."""


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
    """`twinway check` lists the driver in its message about a wrong name."""
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


def judged(installed: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The run of the suite on the driver, started outside of the tree."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", "--pyargs", *words]
    return subprocess.run(
        [*command, "--driver", "noop", "--family", "4"],
        env=installed,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )


@pytest.mark.timeout(600)
def test_suite_finds_it_wanting(installed: dict[str, str], tmp_path: Path) -> None:
    """With a driver that does nothing, the rows in `FREE` pass and every other one fails."""
    path = tmp_path / "semantics.md"
    done = judged(installed, tmp_path, *MODULES, "--semantics", str(path))
    assert done.returncode == 1, done.stdout[-2000:]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| .* \| (\S+) \|$", path.read_text(), re.MULTILINE))
    assert {row for row, outcome in rows.items() if outcome == "pass"} == FREE
    assert set(rows.values()) == {"pass", "FAIL"}
    assert len(rows) >= 25


@pytest.mark.timeout(600)
def test_what_is_printed_shows_the_failure_again(installed: dict[str, str], tmp_path: Path) -> None:
    """The commands that a failed random case prints reproduce the wrong answer in a new lab."""
    words = ("twinway_conformance.test_fuzz", "-k", "test_services", "--seeds", "1", "--keep", str(tmp_path))
    done = judged(installed, tmp_path, *words)
    script = tmp_path / "seed-1" / "again.sh"
    assert script.read_text() in done.stdout, done.stdout[-2000:]
    lines = script.read_text().splitlines()
    # a driver that does nothing neither answers for a Service, nor refuses where a Service has no backends
    assert [line for line in lines if line.startswith(("# expected connected", "# expected rejected"))]
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    name = f"again-{os.getpid()}"  # other labs may run on this machine
    typed = "\n".join(line.replace("--name again", f"--name {name}") for line in lines)
    again = subprocess.run(
        ["bash", "-c", typed],
        env=installed | {"PATH": here},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert again.returncode == 0, again.stderr
    assert "dropped" in again.stdout
    assert "connected" not in again.stdout
