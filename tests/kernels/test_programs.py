"""Every program on every kernel, loaded from a bundle compiled here, and the kernel's counts of connections."""

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
def results(kernel: Unpacked, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a kernel's results about programs and about connections."""
    scripts = (
        f"{GUEST}/verify.py {bundles} /run/shared/judged.json && {GUEST}/initiator.py /run/shared/initiator.json"
    )
    done = boot(kernel, ["sh", "-c", scripts], folder=tmp_path_factory.mktemp("verify"), timeout=300)
    assert done.status == 0, done.output
    return done.shared


@pytest.fixture(scope="session")
def judged(results: Path) -> dict[str, dict[str, int]]:
    """The answer of a kernel's verifier about each program."""
    return json.loads((results / "judged.json").read_text())


def test_every_program_loads(kernel: Unpacked, judged: dict[str, dict[str, int]]):
    """A kernel's verifier accepts every program."""
    refused = [f"{name}: {answer['refused']}" for name, answer in judged.items() if "refused" in answer]
    assert judged
    assert not refused, "\n".join(refused)


def test_no_program_outgrows_its_budget(kernel: Unpacked, judged: dict[str, dict[str, int]]):
    """The verifier processes at most a tenth more instructions than the budget."""
    processed = {name: answer["processed"] for name, answer in judged.items() if "processed" in answer}
    if os.environ.get("BUDGET") == "write":
        budget.write(kernel.kernel.name, processed)
    faults = budget.faults(processed, budget.agreed(kernel.kernel.name))
    assert not faults, "\n".join([*faults, "to accept these numbers: make test-kernels BUDGET=write"])


def test_counts_identify_the_initiator(results: Path):
    """A kernel's counts say of each end of a connection whether it is the initiator, whoever listens now."""
    rows = json.loads((results / "initiator.json").read_text())
    assert len(rows) == 16
    assert [row for row in rows if row[2] != row[3]] == []
