"""Cgroup v2 directories of a lab. Every process that it starts is in one, so that none can be lost."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from twinway.errors import LabError
from twinway_lab.names import GROUPS_DIR, LabName, Place, node_place, shortened

_PATIENCE_SECONDS = 30.0
_MOUNTS = Path("/proc/self/mounts")


@cache
def hierarchy() -> Path:
    """Find where cgroup v2 is mounted. Raises `LabError` where it is not."""
    for line in _MOUNTS.read_text().splitlines():
        _, target, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(target)
    raise LabError("no cgroup v2 hierarchy is mounted: `mount -t cgroup2 none /sys/fs/cgroup/unified`")


def of_lab(lab: LabName) -> Path:
    """The directory above all processes of the lab."""
    return hierarchy() / GROUPS_DIR / lab.name


def of_node(lab: LabName, node: str) -> Path:
    """The directory that a node's agent has for its `cgroup_root`."""
    return of_lab(lab) / shortened(node_place(node).key, 200)


def of_agent(lab: LabName, node: str) -> Path:
    """Where the node's agent runs."""
    return of_node(lab, node) / "agent"


def of_place(lab: LabName, place: Place, node: str | None) -> Path:
    """Where a place's programs run; `node` is the one that a pod is on."""
    match place.kind:
        case "pod":
            return of_node(lab, str(node)) / "pods" / shortened(f"{place.namespace}_{place.name}", 200)
        case "node":
            return of_node(lab, place.name) / "host"
        case _:
            return of_lab(lab) / "external"


def of_wiring(lab: LabName, node: str) -> Path:
    """Where the CNI plugins of a node run."""
    return of_node(lab, node) / "cni"


def names() -> list[str]:
    """The labs that have a directory."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in (hierarchy() / GROUPS_DIR).iterdir() if path.is_dir())
    return []


def join(group: Path) -> None:
    """Move this process into `group`, made where it is missing."""
    group.mkdir(parents=True, exist_ok=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))


def members(group: Path) -> list[int]:
    """The ids of the processes in `group` itself; none where there is no such group."""
    try:
        return [int(word) for word in (group / "cgroup.procs").read_text().split()]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return []
        raise


def kill(group: Path) -> None:
    """Kill every process in `group` and below."""
    if not group.exists():
        return
    try:
        (group / "cgroup.kill").write_text("1")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EACCES, errno.EPERM):
            raise
        _kill_one_by_one(group)
    wait_empty(group, _PATIENCE_SECONDS)


def signal_all(group: Path, number: int) -> None:
    """Send the processes of `group` a signal."""
    for pid in members(group):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def terminate(group: Path, patience: float) -> None:
    """Ask the processes of `group` to end, and kill what has not ended after `patience` seconds."""
    signal_all(group, signal.SIGTERM)
    try:
        wait_empty(group, patience)
    except LabError:
        kill(group)


def wait_empty(group: Path, patience: float) -> None:
    """Return when no process is in `group` or below; raises `LabError` after `patience` seconds."""
    deadline = time.monotonic() + patience
    try:
        with (group / "cgroup.events").open() as events:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            while "populated 0" not in events.read():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LabError(f"processes in {group} have not ended after {patience:g} s")
                poll.poll(left * 1000)
                events.seek(0)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def remove(group: Path) -> None:
    """Remove the directory `group`; its processes must have ended."""
    for path in _bottom_up(group):
        _remove_one(path)


def _remove_one(path: Path) -> None:
    # A process that has just ended keeps its group busy for a moment more.
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _bottom_up(group: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)


def _kill_one_by_one(group: Path) -> None:
    # Kernels before 5.14 have no cgroup.kill: go on until no new child has escaped.
    while pids := [pid for path in _bottom_up(group) for pid in members(path)]:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
