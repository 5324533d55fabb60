"""
Budgets for the instructions that the verifier processes, by kernel and program, in budget.json.

`make test-kernels BUDGET=write` writes them, and a review looks at the change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("budget.json")
GROWTH = 1.10


def agreed(kernel: str, file: Path = FILE) -> dict[str, int]:
    """The budgets of a kernel by program; empty for a new kernel."""
    return dict(json.loads(file.read_text()).get(kernel, {})) if file.is_file() else {}


def faults(processed: Mapping[str, int], budget: Mapping[str, int]) -> list[str]:
    """One line for each program that exceeds its budget, has none, or is gone."""
    found = []
    for program in sorted({*processed, *budget}):
        now, then = processed.get(program), budget.get(program)
        if now is None:
            found.append(f"{program}: has a budget of {then}, but the program does not exist")
        elif then is None:
            found.append(f"{program}: {now} instructions, and no budget")
        elif now > then * GROWTH:
            found.append(f"{program}: {now} instructions, {now / then - 1:.0%} over the budget of {then}")
    return found


def write(kernel: str, processed: Mapping[str, int], file: Path = FILE) -> None:
    """Write the present numbers as the budgets of a kernel."""
    whole = json.loads(file.read_text()) if file.is_file() else {}
    whole[kernel] = dict(sorted(processed.items()))
    file.write_text(json.dumps(dict(sorted(whole.items())), indent=2) + "\n")
