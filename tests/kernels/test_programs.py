"""Every program on every kernel, loaded from a bundle that was made here; and what the kernel counts for us."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.kernels import budget

from twinway_testing.machines.fetch import Unpacked
from twinway_testing.machines.vm import boot

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


GUEST = ".venv/bin/python tests/kernels/guest"


@pytest.fixture(scope="session")
def told(kernel: Unpacked, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what that kernel says of programs and of connections."""
    scripts = (
        f"{GUEST}/verify.py {bundles} /run/shared/judged.json && {GUEST}/initiator.py /run/shared/initiator.json"
    )
    done = boot(kernel, ["sh", "-c", scripts], folder=tmp_path_factory.mktemp("verify"), timeout=300)
    assert done.status == 0, done.output
    return done.shared


@pytest.fixture(scope="session")
def judged(told: Path) -> dict[str, dict[str, int]]:
    """What the verifier of that kernel says of each program."""
    return json.loads((told / "judged.json").read_text())


def test_every_program_loads(kernel: Unpacked, judged: dict[str, dict[str, int]]):
    """The verifier of that kernel takes every program."""
    refused = [f"{name}: {answer['refused']}" for name, answer in judged.items() if "refused" in answer]
    assert judged
    assert not refused, "\n".join(refused)


def test_no_program_outgrows_its_budget(kernel: Unpacked, judged: dict[str, dict[str, int]]):
    """Instructions that the verifier processed are at most a tenth above what is agreed."""
    processed = {name: answer["processed"] for name, answer in judged.items() if "processed" in answer}
    if os.environ.get("BUDGET") == "write":
        budget.write(kernel.kernel.name, processed)
    faults = budget.faults(processed, budget.agreed(kernel.kernel.name))
    assert not faults, "\n".join([*faults, "if that is meant: make test-kernels BUDGET=write"])


def test_counts_tell_who_opened(told: Path):
    """Of each end of a connection that kernel's counts say whether it connected, whoever listens by now."""
    rows = json.loads((told / "initiator.json").read_text())
    assert len(rows) == 16
    assert [row for row in rows if row[2] != row[3]] == []
