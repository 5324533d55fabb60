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
from twinway_lab.names import NETNS_DIR
from twinway_lab.network import syscalls

_OWN = Path("/proc/self/ns/net")


def create(name: str) -> None:
    """Make an empty namespace called `name`, which `ip netns` knows, too."""
    _make_directory()
    path = NETNS_DIR / name
    path.touch(mode=0o444)
    with _returning():
        syscalls.new_netns()
        syscalls.bind_mount(_OWN, path)


# `ip netns add` mounts /run/netns on itself if it is no shared mount point yet. Names that were mounted before
# would be hidden by that, and could not be removed. Source: iproute2, ip/ipnetns.c, netns_add.
def _make_directory() -> None:
    NETNS_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory = os.open(NETNS_DIR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # so does `ip netns add`
        try:
            syscalls.share_mount(NETNS_DIR)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no mount point
                raise
            syscalls.bind_mount(NETNS_DIR, NETNS_DIR)
            syscalls.share_mount(NETNS_DIR)
    finally:
        os.close(directory)


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
