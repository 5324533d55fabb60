"""
Measure how long an agent takes from its start until its state is in force, and how much of that imports take.

    agent_start.py DRIVER...

Prints {DRIVER: {"first": {"imports": …, "other": …}, "again": …}}, in seconds: on a kernel that holds nothing
yet, and again beside what that agent left. The interpreter logs imports, which takes time, so `other` is an upper
bound. For guests only, because nothing is removed at the end. Uses the standard library alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

PYTHON = [".venv/bin/python", "-P", "-X", "importtime", "-c", "from twinway.cli.main import main; main()"]
STATE = Path(__file__).with_name("smoke.yaml")
PATIENCE = 120.0
PAUSE = 0.1
IMPORT = re.compile(r"^import time: +(\d+) \|", re.MULTILINE)
IN_FORCE = re.compile(r"^(\S+) INFO .* applied version=", re.MULTILINE)


def site(driver: str) -> list[str]:
    """The command of an agent with its own run_dir, cgroup and pins, which it creates."""
    base, group = Path("/run/agent-start") / driver, cgroup(driver)
    for folder in (base / "manifests", base / "run", group):
        folder.mkdir(parents=True)
    shutil.copy(STATE, base / "manifests")
    config = {
        "node_name": "n1",
        "driver": driver,
        "source": {"kind": "manifests", "paths": [str(base / "manifests")]},
        "cgroup_root": str(group),
        "bpffs": f"/sys/fs/bpf/{driver}",
        "run_dir": str(base / "run"),
    }
    (base / "node.json").write_text(json.dumps(config))
    return [*PYTHON, "agent", "--config", str(base / "node.json")]


def cgroup(driver: str) -> Path:
    """The agent's cgroup, which is also its node's."""
    return Path("/sys/fs/cgroup/agent-start") / driver


def measured(driver: str, command: list[str]) -> dict[str, float]:
    """Run one agent until it has applied its first state, and return the seconds of imports and of all else."""
    words = Path("/run/agent-start") / driver / "log"
    join = (cgroup(driver) / "cgroup.procs").write_text
    with words.open("wb") as log:
        begin = time.time()
        agent = subprocess.Popen(command, stderr=log, preexec_fn=lambda: join(str(os.getpid())))  # noqa: PLW1509
    try:
        took = in_force(words, agent) - begin
    finally:
        agent.terminate()
        agent.wait()
    imports = sum(map(int, IMPORT.findall(words.read_text()))) / 1e6
    return {"imports": round(imports, 2), "other": round(took - imports, 2)}


def in_force(words: Path, agent: subprocess.Popen[bytes]) -> float:
    """The time at which the agent logs that its state is in force."""
    deadline = time.monotonic() + PATIENCE
    while not (found := IN_FORCE.search(words.read_text())):
        if agent.poll() is not None or time.monotonic() > deadline:
            last = [line for line in words.read_text().splitlines() if not line.startswith("import time:")]
            raise RuntimeError(f"no state in force: {' | '.join(last[-3:])}")
        time.sleep(PAUSE)
    return datetime.fromisoformat(found[1]).timestamp()


def main() -> None:
    """Measure every driver twice: on a kernel that holds nothing of it, and again."""
    taken = {}
    for driver in sys.argv[1:]:
        command = site(driver)
        taken[driver] = {run: measured(driver, command) for run in ("first", "again")}
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
