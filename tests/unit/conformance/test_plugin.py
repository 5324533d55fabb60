"""The plugin's options: what is collected for which drivers, devices and families."""

from __future__ import annotations

import subprocess
import sys

import pytest


def collected(*words: str) -> subprocess.CompletedProcess[str]:
    """What pytest collects of one module of the suite, without the tree's own conftest.py."""
    command = [sys.executable, "-m", "pytest", "--noconftest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [
            *command,
            "--pyargs",
            "twinway_conformance.test_faults",
            "twinway_conformance.test_services_ports",
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def ids(*words: str) -> list[str]:
    return [line.rpartition("::")[2] for line in collected(*words).stdout.splitlines() if "::" in line]


def test_no_driver_is_wrong_usage() -> None:
    """Without a driver the run ends as wrong usage, and the installed ones are named."""
    done = collected()
    assert done.returncode != 0
    assert "--driver NAME; installed: " in done.stdout + done.stderr


def test_every_combination() -> None:
    """Drivers, devices and families given again and again are combined, one target after the other."""
    found = ids("--driver", "a", "--driver", "b", "--pod-device", "macvlan", "--family", "4", "--family", "6")
    targets = list(dict.fromkeys(name.partition("[")[2][:-1] for name in found))
    assert targets == ["a-macvlan-4", "a-macvlan-6", "b-macvlan-4", "b-macvlan-6"]


def test_defaults() -> None:
    """A driver alone means veth and a dual-stack cluster."""
    assert {name.partition("[")[2] for name in ids("--driver", "a")} == {"a-veth-dual]"}


def test_driver_changes_come_last() -> None:
    """Of each target's tests, changes of driver come last."""
    found = ids("--driver", "a", "--driver", "b")
    changes = [index for index, name in enumerate(found) if name.startswith("test_driver_change")]
    assert changes == [len(found) // 2 - 1, len(found) - 1]


@pytest.mark.parametrize("words", [("--pod-device", "tap"), ("--family", "5")])
def test_unknown_words(words: tuple[str, str]) -> None:
    """A device or family that there is none of is wrong usage."""
    assert collected("--driver", "a", *words).returncode == 4


def test_seeds_are_dealt_out() -> None:
    """Each random cluster is one target's; with fewer than there are targets, each still has one."""
    for number, shares in ((5, {"a": ["1", "3", "5"], "b": ["2", "4"]}), (1, {"a": ["1"], "b": ["2"]})):
        fuzz = "twinway_conformance.test_fuzz"
        found = ids(fuzz, "--driver", "a", "--driver", "b", "--seeds", str(number), "-k", "test_policies")
        words = [name.partition("[")[2][:-1].split("-") for name in found]
        assert {driver: [each[-1] for each in words if each[0] == driver] for driver in "ab"} == shares
