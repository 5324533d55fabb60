"""
The conformance suite on other kernels; SUITE= has its options.

    make test-kernels KERNELS=6.12 DRIVERS=tc DEVICES=ipvlan SUITE="-k services_reach"

It is collected only with SUITE=, because the whole suite takes hours under emulation. With PAGE=, its results are
written to suite.json, for that page.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from tests.kernels import suite

from twinway_testing.machines.fetch import Unpacked
from twinway_testing.machines.vm import boot, with_bundles

SLOW = "10"
HOURS = 6
SUITE = shlex.split(os.environ["SUITE"])
LAST_LINES = 60

pytestmark = [pytest.mark.vm, pytest.mark.timeout(HOURS * 3600)]


def test_suite(kernel: Unpacked, driver: str, device: str, bundles: Path, tmp_path: Path):
    """The chosen part of the suite passes in a guest."""
    words = ["--driver", driver, "--pod-device", device, "--slow", SLOW, "--timeout", "0", *SUITE]
    words += ["--semantics", "/run/shared/semantics.md"]
    command = [".venv/bin/pytest", "-p", "no:cacheprovider", "--pyargs", "twinway_conformance", *words]
    done = boot(kernel, [*with_bundles(bundles), *command], folder=tmp_path, timeout=HOURS * 3600)
    if os.environ.get("PAGE"):
        table = (done.shared / "semantics.md").read_text()
        suite.record((kernel.kernel.name, driver, device), os.environ["SUITE"], table)
    end = "\n".join(done.output.splitlines()[-LAST_LINES:])
    print(end)
    assert done.status == 0, end
