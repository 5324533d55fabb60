"""Commands of `twinway`, from cold and from warm: what comes of them is the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinway_conformance.commands import Cold, Commands, Warm


@pytest.fixture(params=["cold", "warm"])
def commands(request: pytest.FixtureRequest) -> Iterator[Commands]:
    """Either way to run commands."""
    way = Warm() if request.param == "warm" else Cold(str(Path(sys.executable).with_name("twinway")))
    yield way
    way.close()


def test_what_it_prints(commands: Commands) -> None:
    """A command's output comes back, and status 0."""
    done = commands.run(["lab", "probe", "--help"], 60)
    assert done.returncode == 0
    assert "--batch" in done.stdout


def test_what_it_ends_with(commands: Commands) -> None:
    """A failure is status 1 and a line, wrong usage is 2; the next command is none the worse for it."""
    failed = commands.run(["lab", "status", "--name", "no-such-lab"], 60)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: lab no-such-lab")
    assert commands.run(["lab", "probe", "--no-such-option"], 60).returncode == 2
    assert commands.run(["--help"], 60).returncode == 0


def test_each_is_alone(commands: Commands) -> None:
    """Nothing of one command is seen by the next: the same words give the same answer."""
    words = ["lab", "probe", "--from", "nobody"]
    assert commands.run(words, 60).stderr == commands.run(words, 60).stderr


def test_it_ends_in_time(commands: Commands) -> None:
    """A command that takes too long is ended, and the next one runs."""
    with pytest.raises(subprocess.TimeoutExpired):
        commands.run(["agent", "--help"], 0.001)
    assert commands.run(["--help"], 60).returncode == 0
