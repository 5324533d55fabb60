"""Remove every trace of a lab. Traces are found by name alone, so this works whatever was killed, and when."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from twinway_lab import lock, store
from twinway_lab.names import LabName, lab_of_netns
from twinway_lab.network import netns, syscalls
from twinway_lab.nodes import cgroups

_PATIENCE_SECONDS = 20.0


def names() -> list[str]:
    """List every lab of which there is a trace."""
    of_namespaces = {name for each in netns.names("") if (name := lab_of_netns(each))}
    return sorted({*store.names(), *lock.names(), *cgroups.names(), *of_namespaces})


def take_down(lab: LabName) -> None:
    """Remove every trace of the lab; the caller holds its lock."""
    group = cgroups.of_lab(lab)
    cgroups.kill(group)
    for mount in _mounts_below(lab.state):
        syscalls.unmount(mount)
    for name in netns.names(lab.netns_prefix):
        netns.delete(name)
    netns.release_directory()
    cgroups.remove(group)
    shutil.rmtree(lab.state, ignore_errors=True)
    with suppress(OSError):  # other labs are below it, or it is gone already
        group.parent.rmdir()


def down(lab: LabName) -> None:
    """As `take_down`, once no other command changes the lab."""
    if lab.name not in names():
        return
    with lock.held(lab, _PATIENCE_SECONDS):
        take_down(lab)


def _mounts_below(folder: Path) -> list[Path]:
    targets = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((target for target in targets if target.is_relative_to(folder)), reverse=True)
