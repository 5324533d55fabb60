"""The page of e2e results: a table of tests and networks, made from a file of what became of each test."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

Results = Mapping[str, Mapping[str, str]]
"""Of each network, by its title, the state of each test, by its name."""

BEGIN = "<!-- The table is made from e2e.json by `make e2e RECORD=1`. -->"
GROUP = "[sig-network] "


def record(file: Path, network: str, states: Mapping[str, str]) -> None:
    """Write a network's results into the file, beside those of other tests, and make its page again."""
    results = json.loads(file.read_text()) if file.exists() else {}
    results[network] = {**results.get(network, {}), **states}
    file.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    page = file.with_suffix(".md")
    page.write_text(with_table(page.read_text(), results))


def with_table(text: str, results: Results) -> str:
    """The text of the page with the table of these results at its end."""
    return text.partition(BEGIN)[0] + BEGIN + "\n\n" + "\n".join(table(results)) + "\n"


def table(results: Results) -> list[str]:
    """The lines of the table: a row with the counts, then one for each test."""
    networks = sorted(results)
    counts = (Counter(results[network].values()) for network in networks)
    sums = (", ".join(f"{count} {state}" for state, count in sorted(each.items())) for each in counts)
    lines = [_row("Test", networks), _row("---", ["---"] * len(networks)), _row("*all*", sums)]
    names = sorted({name for states in results.values() for name in states})
    for name in names:
        lines.append(_row(name.removeprefix(GROUP), (results[network].get(name, "") for network in networks)))
    return lines


def _row(first: str, others: Iterable[str]) -> str:
    return " | ".join(["", first.replace("|", "\\|"), *others, ""]).strip()
