"""
Instructions that the verifier processes, per program and kernel: budget.json holds what is agreed.

The agreed numbers are written down by `make test-kernels BUDGET=write`, and looked at in review.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_name("budget.json")
GROWTH = 1.10


def agreed(kernel: str, file: Path = FILE) -> dict[str, int]:
    """What was agreed for that kernel, by program; empty for a kernel that is new."""
    return dict(json.loads(file.read_text()).get(kernel, {})) if file.is_file() else {}


def faults(processed: Mapping[str, int], budget: Mapping[str, int]) -> list[str]:
    """One line for each program that outgrew its budget, or has none, or is gone; empty: all is well."""
    found = []
    for program in sorted({*processed, *budget}):
        now, then = processed.get(program), budget.get(program)
        if now is None:
            found.append(f"{program}: has a budget of {then}, but is no program any more")
        elif then is None:
            found.append(f"{program}: {now} instructions, and no budget")
        elif now > then * GROWTH:
            found.append(f"{program}: {now} instructions, {now / then - 1:.0%} more than the {then} agreed")
    return found


def write(kernel: str, processed: Mapping[str, int], file: Path = FILE) -> None:
    """Agree to what is processed now."""
    whole = json.loads(file.read_text()) if file.is_file() else {}
    whole[kernel] = dict(sorted(processed.items()))
    file.write_text(json.dumps(dict(sorted(whole.items())), indent=2) + "\n")
