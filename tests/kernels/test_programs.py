"""Every program on every kernel, loaded from a bundle that was made on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.kernels import budget
from tests.kernels.fetch import Unpacked
from tests.kernels.vm import boot

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def judged(kernel: Unpacked, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """What the verifier of that kernel says of each program."""
    command = [".venv/bin/python", "tests/kernels/guest/verify.py", str(bundles), "/run/shared/judged.json"]
    done = boot(kernel, command, folder=tmp_path_factory.mktemp("verify"), timeout=300)
    assert done.status == 0, done.output
    return json.loads((done.shared / "judged.json").read_text())


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
