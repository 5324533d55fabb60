"""The bench's door: measure what is asked for, print it, keep it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests import bench
from tests.bench import plot, show
from tests.bench.places import BenchFailed
from tests.bench.results import Effort, Section

BENCHES = {
    "throughput": "throughput",
    "control": "control",
    "agent": "agent_scale",
    "growth": "growth",
    "policy": "policy_state",
    "packets": "policy_packets",
    "cost": "packet_cost",
    "instructions": "instructions",
    "lost": "lost",
    "churn": "churn",
    "lab": "lab_speed",
}
"""Each bench and the module that has its `measure(effort)`."""


def main() -> int:
    """Run the benches that the command line names; the exit status."""
    parser = _parser()
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in BENCHES]:
        parser.error(f"no bench {unknown[0]}: there are {', '.join(BENCHES)}")
    if os.geteuid() != 0:
        sys.exit("error: the bench makes network namespaces and loads BPF: run it as root")
    # an exception on its way out takes labs and namespaces down, a signal would leave them
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: told to end"))
    effort = Effort(asked.pairs, asked.seconds, asked.changes, asked.repeats, asked.out.absolute())
    effort.out.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    for name in asked.names or BENCHES:
        measure: Callable[[Effort], Section] = import_module(f"tests.bench.{BENCHES[name]}").measure
        try:
            section = measure(effort)
        except BenchFailed as error:
            wrong.append(f"{name}: {error}")
            continue
        _keep(section, effort.out, asked.page)
        wrong += [f"{each.what}: {each.value:g}, must be {each.bar}" for each in section.figures if each.is_wrong]
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong else 0


def _keep(section: Section, out: Path, page: Path | None) -> None:
    show.print_table(section)
    (out / f"{section.name}.json").write_text(json.dumps(section.as_json(), indent=1) + "\n")
    for each in section.plots:
        if plot.draw(each, out) is None:
            print("for pictures: .venv/bin/pip install -c constraints.txt matplotlib", file=sys.stderr)
    if page is not None:
        show.put_into(page, section)
        for each in section.plots:
            plot.draw(each, page.parent)


def _parser() -> argparse.ArgumentParser:
    given = Effort()
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=bench.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--pairs", type=int, default=given.pairs, help="rounds that count")
    parser.add_argument("--seconds", type=int, default=given.seconds, help="of each run under load")
    parser.add_argument("--changes", type=int, default=given.changes, help="changes, one after the other")
    parser.add_argument("--repeats", type=int, default=given.repeats, help="of what a command takes")
    parser.add_argument("--out", type=Path, default=given.out, help="folder for JSON and pictures")
    parser.add_argument("--page", type=Path, help="put the tables between their marks on this Markdown page")
    return parser


if __name__ == "__main__":
    sys.exit(main())
