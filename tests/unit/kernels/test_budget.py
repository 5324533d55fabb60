"""The comparison of verified instructions with what was agreed."""

from __future__ import annotations

from pathlib import Path

from tests.kernels.budget import agreed, faults, write


def test_growth_over_a_tenth_is_a_fault():
    """A tenth more passes; one instruction beyond that is a fault with both numbers."""
    assert faults({"p": 1100}, {"p": 1000}) == []
    assert faults({"p": 1101}, {"p": 1000}) == ["p: 1101 instructions, 10% over the budget of 1000"]
    assert faults({"p": 10}, {"p": 1000}) == []


def test_programs_without_budget_and_budgets_without_program():
    """A new program needs a budget, a removed one must not keep it."""
    assert faults({"new": 5}, {"old": 7}) == [
        "new: 5 instructions, and no budget",
        "old: has a budget of 7, but the program does not exist",
    ]


def test_written_budgets_are_read_back(tmp_path: Path):
    """Writing one kernel's numbers leaves the others'."""
    file = tmp_path / "budget.json"
    write("6.12", {"b": 2, "a": 1}, file)
    write("5.10", {"a": 3}, file)
    write("6.12", {"a": 4}, file)
    assert (agreed("6.12", file), agreed("5.10", file), agreed("4.4", file)) == ({"a": 4}, {"a": 3}, {})
