"""
A CNI chain, run as a container runtime runs it.

Source: CNI specification 1.0.0, sections 2 and 4; libcni for what it leaves open (`runtimeConfig`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinway.errors import LabError

VERSION = "1.0.0"
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chain:
    """Plugins in order, and where their programs are looked for."""

    name: str
    plugins: Sequence[Mapping[str, Any]]
    path: Sequence[Path]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What is plugged in: the container as a runtime names it to plugins."""

    container_id: str
    netns: Path
    args: Mapping[str, str]
    capabilities: Mapping[str, Any]
    """Values for plugins that declare the capability of that name."""
    environment: Mapping[str, str]
    """Variables beside the `CNI_*` ones."""

    ifname: str = "eth0"


def add(chain: Chain, sandbox: Sandbox) -> Result:
    """The result of the last plugin; raises `LabError` with the words of the first that failed."""
    result: Result | None = None
    for plugin in chain.plugins:
        result = json.loads(_run("ADD", chain, plugin, sandbox, result))
    return result or {}


def delete(chain: Chain, sandbox: Sandbox, result: Result | None) -> None:
    """Undo in reverse order; every plugin is asked, then the first failure is raised as `LabError`."""
    failures = []
    for plugin in reversed(chain.plugins):
        try:
            _run("DEL", chain, plugin, sandbox, result)
        except LabError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _run(verb: str, chain: Chain, plugin: Mapping[str, Any], sandbox: Sandbox, result: Result | None) -> str:
    kind = plugin["type"]
    path = os.pathsep.join(map(str, chain.path))
    program = shutil.which(kind, path=path)
    if program is None:
        raise LabError(f"CNI plugin {kind}: not found in {path}: install containernetworking-plugins")
    environment = {
        **os.environ,
        **sandbox.environment,
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": sandbox.container_id,
        "CNI_NETNS": str(sandbox.netns),
        "CNI_IFNAME": sandbox.ifname,
        "CNI_PATH": path,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in sandbox.args.items()),
    }
    stdin = json.dumps(_configuration(chain, plugin, sandbox, result))
    done = subprocess.run([program], input=stdin, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"CNI plugin {kind}: {verb}: {_reason(done)}")
    return done.stdout


def _configuration(
    chain: Chain, plugin: Mapping[str, Any], sandbox: Sandbox, result: Result | None
) -> dict[str, Any]:
    own = {key: value for key, value in plugin.items() if key != "capabilities"}
    wanted = plugin.get("capabilities", {})
    given = {key: value for key, value in sandbox.capabilities.items() if wanted.get(key)}
    whole = {**own, "cniVersion": VERSION, "name": chain.name}
    if given:
        whole["runtimeConfig"] = given
    if result is not None:
        whole["prevResult"] = result
    return whole


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    try:
        error = json.loads(done.stdout)
        words = [f"code {error['code']}", str(error["msg"]), str(error.get("details") or "")]
        return ": ".join(word for word in words if word)
    except (ValueError, KeyError, TypeError):
        return (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
