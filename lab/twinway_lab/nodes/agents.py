"""Configure, start and end the nodes' agents, and wait for them."""

from __future__ import annotations

import json
import os
import signal
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twinway.client import AgentClient
from twinway.errors import LabError, SourceError, TwinwayError
from twinway.files import write_whole
from twinway_lab.names import LabName, node_place, shortened
from twinway_lab.nodes import cgroups, processes
from twinway_lab.nodes.processes import Container

PATIENCE_SECONDS = 20.0
"""Seconds that an agent may take to end by itself."""
_DYING_SECONDS = 1.0
_PAUSE_SECONDS = 0.02
_LAST_WORDS = 3
_PROGRAM = "from twinway.cli.main import main; main()"
"""The program `twinway` of this environment, whatever is on the PATH."""


def configure(lab: LabName, node: str, driver: str, more: Mapping[str, Any]) -> None:
    """Write the node's config, `more` keys included; an agent that runs reads it when it is started again."""
    folder = lab.node_dir(node)
    config = {
        **more,
        "node_name": node,
        "driver": driver,
        "source": {"kind": "manifests", "paths": [str(lab.manifests())]},
        "cgroup_root": str(cgroups.of_node(lab, node)),
        "bpffs": str(pins(lab, node)),
        "run_dir": str(folder / "run"),
    }
    write_whole(_config(lab, node), json.dumps(config, indent=2) + "\n")


def environment(lab: LabName, node: str) -> dict[str, str]:
    """Variables by which the command `twinway`, run at the node, is found and finds the node's agent."""
    return {
        "TWINWAY_AGENT": str(lab.agent_socket(node)),
        "TWINWAY_CONFIG": str(_config(lab, node)),
        "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")]),
    }


def pins(lab: LabName, node: str) -> Path:
    """The node's own directory on the lab's BPF file system."""
    return lab.state / "bpf" / shortened(node, 200)


def start(lab: LabName, node: str) -> None:
    """Start the agent, unless it runs."""
    _killed(lab, node).unlink(missing_ok=True)
    if not is_running(lab, node):
        log = lab.node_dir(node) / "agent.log"
        container = Container(cgroups.of_agent(lab, node), lab.netns(node_place(node)), log)
        words = [sys.executable, "-P", "-c", _PROGRAM, "agent", "--config", str(_config(lab, node))]
        processes.start(container, lambda: os.execv(words[0], words))  # noqa: S606 (no shell is the point)


def is_running(lab: LabName, node: str) -> bool:
    """Whether the agent runs."""
    return bool(cgroups.members(cgroups.of_agent(lab, node)))


def kill(lab: LabName, node: str) -> None:
    """Kill the agent with SIGKILL; its absence is no fault until it is started again."""
    _killed(lab, node).touch()
    cgroups.kill(cgroups.of_agent(lab, node))


def stop(lab: LabName, node: str) -> None:
    """End the agent with SIGTERM, and with SIGKILL if that takes too long."""
    cgroups.terminate(cgroups.of_agent(lab, node), PATIENCE_SECONDS)


def status(lab: LabName, node: str) -> dict[str, Any] | None:
    """Return the agent's status; None where it does not answer."""
    try:
        return AgentClient(lab.agent_socket(node)).status()
    except SourceError:
        return None


def wait_answering(lab: LabName, nodes: Iterable[str], timeout: float) -> None:
    """Wait until every agent answers. Raises `LabError` for one that has ended or does not answer in time."""
    deadline = time.monotonic() + timeout
    for node in nodes:
        while status(lab, node) is None:
            if not is_running(lab, node):
                raise _ended(lab, node)
            if time.monotonic() > deadline:
                raise LabError(f"node {node}: the agent does not answer after {timeout:g} s")
            time.sleep(_PAUSE_SECONDS)


def reload(lab: LabName, node: str, driver: str, timeout: float) -> None:
    """
    Have the agent serve by `driver`, which its config names by now; start it where it does not run.

    Raises `LabError` where it cannot.
    """
    if not is_running(lab, node):
        start(lab, node)
        return
    wait_answering(lab, [node], timeout)
    before = status(lab, node)
    cgroups.signal_all(cgroups.of_agent(lab, node), signal.SIGHUP)
    deadline = time.monotonic() + timeout
    while (now := status(lab, node)) is None or now["driver"] != driver:
        if now is None and not is_running(lab, node):
            raise _ended(lab, node)
        if now is not None and now["config"]["error"] and not (before and now["config"] == before["config"]):
            raise LabError(f"node {node}: {now['config']['error']}")
        if time.monotonic() > deadline:
            raise LabError(f"node {node}: the driver is not {driver} after {timeout:g} s")
        time.sleep(_PAUSE_SECONDS)


def wait_in_force(lab: LabName, nodes: Iterable[str], version: str, timeout: float) -> None:
    """
    What is published as `version` is in force on every node; raises `LabError` where it is not in time.

    An agent that `kill` ended is not waited for: its node stays as it is until the agent is started.
    """
    deadline = time.monotonic() + timeout
    running = [node for node in nodes if not _killed(lab, node).exists()]
    wait_answering(lab, running, timeout)
    for node in running:
        try:
            AgentClient(lab.agent_socket(node)).wait(version, max(deadline - time.monotonic(), 0.001))
        except TwinwayError as error:
            if _ends(lab, node):
                raise _ended(lab, node) from error
            raise LabError(f"node {node}: {error}") from error


# An agent that ends closes its sockets a moment before it is gone.
def _ends(lab: LabName, node: str) -> bool:
    deadline = time.monotonic() + _DYING_SECONDS
    while is_running(lab, node):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


def _killed(lab: LabName, node: str) -> Path:
    return lab.node_dir(node) / "killed"


def _config(lab: LabName, node: str) -> Path:
    return lab.node_dir(node) / "node.json"  # read without a YAML parser


def _ended(lab: LabName, node: str) -> LabError:
    log = (lab.node_dir(node) / "agent.log").read_text(errors="replace")
    lines = [line for line in log.splitlines() if line.strip()]
    # What the agent says to people; else, for what nobody foresaw, the end of its log.
    words = [line for line in lines if line.startswith("error: ")][-1:] or lines[-_LAST_WORDS:]
    return LabError(f"node {node}: the agent has ended: {' | '.join(words) or 'without a message'}")
