"""Waiting for what others finish: the agent of this node, a DaemonSet of the cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinway.errors import ConfigError, TwinwayError
from twinway.locks import AGENT_LOCK, only_one_in

_PAUSE = 0.5


def wait_for_agent(run_dir: Path, seconds: float) -> None:
    """Return when no agent holds this run_dir; raises `ConfigError` where one still does after so many seconds."""
    deadline = time.monotonic() + seconds
    while (run_dir / AGENT_LOCK).exists():
        try:
            with only_one_in(run_dir):
                return
        except ConfigError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)


def wait_for_daemonset(name: str, seconds: float) -> None:
    """Return when each node that the DaemonSet `NAMESPACE/NAME` wants has its ready pod. Raises `TwinwayError`."""
    from twinway.sources.kubernetes.failures import RequestError
    from twinway.sources.kubernetes.transport import connect

    namespace, _, short = name.partition("/")
    if not namespace or not short:
        raise ConfigError(f"{name}: no DaemonSet: give NAMESPACE/NAME")
    transport = connect(None)
    deadline = time.monotonic() + seconds
    said = reason = ""
    while True:
        try:
            status = transport.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{short}", {})
            done, reason = _progress(status)
            if done:
                return
        except RequestError as error:
            reason = str(error)
        if reason != said:
            sys.stdout.write(f"daemonset {name}: {reason}\n")
            sys.stdout.flush()
            said = reason
        if time.monotonic() >= deadline:
            raise TwinwayError(f"daemonset {name}: not done after {seconds:g} s: {reason}")
        time.sleep(_PAUSE)


def _progress(daemonset: Mapping[str, Any]) -> tuple[bool, str]:
    status = daemonset.get("status", {})
    wanted, ready = int(status.get("desiredNumberScheduled", 0)), int(status.get("numberReady", 0))
    seen = status.get("observedGeneration") == daemonset.get("metadata", {}).get("generation")
    return seen and ready >= wanted, f"{ready} of {wanted} nodes are done"
