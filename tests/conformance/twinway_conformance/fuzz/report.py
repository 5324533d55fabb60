"""Write a failing case: its manifests as files, and the commands that reproduce it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twinway_conformance.fuzz.case import Case, Mismatch, State
from twinway_conformance.targets import Target


def write(case: Case, found: Sequence[Mismatch], target: Target, folder: Path) -> str:
    """Write the manifests of a case and `again.sh`, which reproduces it, to `folder`; return these commands."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "again"
    lines = []
    for step, state in enumerate(case.states):
        path = folder / f"state-{step + 1}.yaml"
        path.write_text(_yaml(state))
        how = f"up --driver {target.driver} --pod-device {target.device}" if step == 0 else "sync"
        lines.append(f"twinway lab {how} -f {path} --name {name}")
        for one in found:
            if one.step == step:
                lines += [f"# expected {one.due}, got {one.came}", f"twinway {one.query.command()} --name {name}"]
    words = "\n".join([*lines, f"twinway lab down --name {name}"])
    (folder / "again.sh").write_text(words + "\n")
    return words


def shown(case: Case) -> str:
    """The objects of the last state as YAML, without nodes, namespaces and pods."""
    return _yaml(tuple(thing for thing in case.states[-1] if thing["kind"] not in ("Node", "Namespace", "Pod")))


def _yaml(state: State) -> str:
    import yaml

    return "---\n".join(yaml.safe_dump(thing, sort_keys=False) for thing in state)
