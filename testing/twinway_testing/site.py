"""A place of one's own for tests that need the kernel: namespaces, a BPF file system, a cgroup."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from twinway_bpf.netlink import netns

NETNS = Path("/run/netns")
_numbers = count()


def unique(role: str) -> str:
    """A name that nobody else has, and no other place of these tests."""
    return f"twp-{os.getpid()}-{next(_numbers)}-{role}"


@contextlib.contextmanager
def bpf_file_system(folder: Path) -> Iterator[Path]:
    """A BPF file system of its own, mounted at `folder`; its pins end with it."""
    folder.mkdir(exist_ok=True)
    mount_bpf(folder)
    try:
        yield folder
    finally:
        umount(folder)


def mount_bpf(folder: Path) -> None:
    """Mount a new BPF file system at `folder`."""
    _run("mount", "-t", "bpf", "bpf", str(folder))


def umount(folder: Path) -> None:
    """Take away what is mounted at `folder`."""
    _run("umount", "--lazy", str(folder))


@contextlib.contextmanager
def namespace(role: str, *commands: str) -> Iterator[Path]:
    """A network namespace in which these `ip` commands were carried out."""
    name = unique(role)
    _run("ip", "netns", "add", name)
    try:
        words = "".join(f"{command}\n" for command in ("link set lo up", *commands))
        _run("ip", "-n", name, "-batch", "-", words=words)
        yield NETNS / name
    finally:
        _run("ip", "netns", "del", name)


@contextlib.contextmanager
def cgroup(role: str) -> Iterator[Path]:
    """A cgroup below the v2 hierarchy."""
    folder = cgroup2() / unique(role)
    folder.mkdir()
    try:
        yield folder
    finally:
        folder.rmdir()


@contextlib.contextmanager
def member(folder: Path) -> Iterator[None]:
    """Move this process into a cgroup for the duration of the block."""
    before = _own_cgroup()
    (folder / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (before / "cgroup.procs").write_text(str(os.getpid()))


@contextlib.contextmanager
def inhabitant(folder: Path) -> Iterator[None]:
    """A process that does nothing is in a cgroup during the block."""
    with subprocess.Popen(["sleep", "infinity"]) as process:
        try:
            (folder / "cgroup.procs").write_text(str(process.pid))
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def left(folder: Path) -> Iterator[None]:
    """Move this process, a member of `folder`, above it for the block: programs of the cgroup do not see it."""
    (cgroup2() / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        (folder / "cgroup.procs").write_text(str(os.getpid()))


def ip(namespace: Path, *commands: str) -> None:
    """Carry out `ip` commands in a namespace."""
    for command in commands:
        _run("ip", "-n", namespace.name, *command.split())


def cgroup2() -> Path:
    """Where the v2 hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(target)
    raise FileNotFoundError("no cgroup2 file system is mounted")


def indices(path: Path) -> dict[str, int]:
    """Index of each device of a namespace, by name."""
    with netns.inside(str(path)):
        rows = json.loads(_run("ip", "-j", "link"))
    return {row["ifname"]: row["ifindex"] for row in rows}


def _own_cgroup() -> Path:
    line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    return cgroup2() / line.removeprefix("0::/")


def _run(*command: str, words: str | None = None) -> str:
    done = subprocess.run(command, input=words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
