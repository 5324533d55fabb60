"""A host's part of every cgroup hierarchy of this machine."""

from __future__ import annotations

import os
from pathlib import Path

from twinway.errors import TwinwayError

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> dict[str, str]:
    """Each hierarchy's folder in `ROOT`, and the options it is mounted by; `cgroup2` for the second version."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        point, (kind, _, options) = Path(before.split()[4]), after.split(" ", 2)
        if point.parent != ROOT or kind not in ("cgroup", "cgroup2"):
            continue
        names = [each for each in options.split(",") if each not in ("rw", "clone_children", "xattr")]
        if kind == "cgroup2":
            found[point.name] = kind
        else:
            found[point.name] = ",".join((["none"] if names[0].startswith("name=") else []) + names)
    return found


def unified() -> str:
    """Where a host sees its part of the second version's hierarchy."""
    for name, kind in hierarchies().items():
        if kind == "cgroup2":
            return str(ROOT / name)
    raise TwinwayError(
        f"cluster: no cgroup v2 hierarchy is mounted in a folder of {ROOT}, beside the first version's"
    )


def groups(*names: str) -> list[Path]:
    """The cgroup of this path in each hierarchy."""
    return [ROOT.joinpath(directory, *names) for directory in hierarchies()]


def make(group: Path) -> None:
    """Create a cgroup and its parent; a cpuset takes the processors of the one above."""
    for directory in (group.parent, group):
        if not directory.exists():
            directory.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (directory / name).exists():
                    (directory / name).write_text((directory.parent / name).read_text())


def remove(group: Path) -> bool:
    """Remove a cgroup and those below, and return whether it is gone: it stays while a process is in it."""
    for directory, _, _ in os.walk(group, topdown=False):
        try:
            Path(directory).rmdir()
        except OSError:
            continue
    return not group.exists()


def processes(group: Path) -> list[int]:
    """The processes in a cgroup and in those below."""
    return [int(pid) for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]
