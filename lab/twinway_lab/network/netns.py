"""Make, enter and delete named network namespaces, and run `ip` commands in them."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from twinway.errors import LabError
from twinway_lab.names import NETNS_DIR, STATE_ROOT, lab_of_netns
from twinway_lab.network import syscalls

_OWN = Path("/proc/self/ns/net")
_MOUNTED = STATE_ROOT / "netns-mounted"
"""Exists if a lab has made /run/netns a mount point, and so has to undo it."""


def create(name: str) -> None:
    """Make an empty namespace called `name`, which `ip netns` knows, too."""
    path = NETNS_DIR / name
    with _directory():
        _mount_directory()
        path.touch(mode=0o444)
    with _returning():
        syscalls.new_netns()
        syscalls.bind_mount(_OWN, path)


def release_directory() -> None:
    """Unmount /run/netns if a lab has mounted it and nobody has a name in it."""
    if not _MOUNTED.exists():
        return
    with _directory():
        left = names("")
        if any(map(lab_of_netns, left)):
            return
        if not left:
            with suppress(OSError):  # somebody else has unmounted it
                syscalls.unmount(NETNS_DIR)
        _MOUNTED.unlink(missing_ok=True)


@contextmanager
def _directory() -> Iterator[None]:
    NETNS_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = os.open(NETNS_DIR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # so does `ip netns add`
        yield
    finally:
        os.close(directory)


# `ip netns add` mounts /run/netns on itself if it is no shared mount point yet. Names that were mounted before
# would be hidden by that, and could not be removed. Source: iproute2, ip/ipnetns.c, netns_add.
def _mount_directory() -> None:
    try:
        syscalls.share_mount(NETNS_DIR)
    except OSError as error:
        if error.errno != errno.EINVAL:  # it is no mount point
            raise
        _MOUNTED.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _MOUNTED.touch()
        syscalls.bind_mount(NETNS_DIR, NETNS_DIR)
        syscalls.share_mount(NETNS_DIR)


def delete(name: str) -> None:
    """Remove the name of a namespace. The kernel keeps the namespace while processes run in it."""
    path = NETNS_DIR / name
    try:
        syscalls.unmount(path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # a name that was never mounted, or no name
            raise
    path.unlink(missing_ok=True)


def names(prefix: str) -> list[str]:
    """List the namespaces whose name has this prefix."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in NETNS_DIR.iterdir() if path.name.startswith(prefix))
    return []


def exists(name: str) -> bool:
    """Whether there is a namespace of that name."""
    return (NETNS_DIR / name).exists()


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Run the block in the namespace `name`. This moves the whole process; the lab has one thread."""
    with _returning():
        syscalls.enter_netns(NETNS_DIR / name)
        yield


@contextmanager
def _returning() -> Iterator[None]:
    with _OWN.open() as own:
        try:
            yield
        finally:
            syscalls.enter_netns(Path(f"/proc/self/fd/{own.fileno()}"))


def set_sysctls(values: Mapping[str, str]) -> None:
    """Write these below /proc/sys/net, of the namespace this process is in; what is missing is skipped."""
    for key, value in values.items():
        with suppress(FileNotFoundError):
            Path("/proc/sys/net", key).write_text(value)


def ip(lines: Iterable[str], *, whatever_is_there: bool = False) -> None:
    """
    Run `ip` commands, one a line, in the namespace this process is in, until one fails.

    With `whatever_is_there`, commands that fail are skipped: to remove what may not exist.
    """
    listed = list(lines)
    if not listed:
        return
    force = ["-force"] if whatever_is_there else []
    done = _run(["ip", *force, "-batch", "-"], "\n".join(listed) + "\n")
    if done.returncode and not whatever_is_there:
        raise LabError(f"`ip {_failed_line(listed, done.stderr)}`: {_reason(done.stderr)}")


def _run(words: list[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError("the program `ip` is missing: install iproute2") from None


def _failed_line(lines: list[str], stderr: str) -> str:
    # "Command failed -:3" is how `ip -batch` says that the third line failed.
    number = stderr.strip().rpartition(":")[2]
    if number.isdecimal() and 0 < int(number) <= len(lines):
        return lines[int(number) - 1]
    return "-batch"


def _reason(stderr: str) -> str:
    said = [line for line in stderr.splitlines() if not line.startswith("Command failed")]
    return " ".join(said).strip() or "failed without a message"
