"""Finds the processes that hold a socket, and gets a descriptor of it, by which a map's storage on it is read."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from twinway.errors import Unsupported

_PIDFD_GETFD = 438
"""Of every architecture (5.6). Source: include/uapi/asm-generic/unistd.h."""


def descriptors(processes: Iterable[int], inodes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """
    For each socket that one of the processes holds, its inode and a descriptor of our own.

    Processes are searched in order until every socket is found. A descriptor is closed when the next one is
    asked for. Raises Unsupported if the kernel does not allow it.
    """
    missing = {f"socket:[{inode}]": inode for inode in inodes}
    for process in processes:
        if not missing:
            return
        for held, name in _held(process, frozenset(missing)):
            # one socket may have several descriptors, also in one process
            descriptor = _duplicate(process, held, name) if name in missing else None
            if descriptor is None:
                continue
            try:
                yield missing.pop(name), descriptor
            finally:
                os.close(descriptor)


def may_not_look() -> Unsupported:
    """The error if the agent may not look into other processes."""
    remedy = "give the agent CAP_SYS_PTRACE, and set the sysctl kernel.yama.ptrace_scope to less than 3"
    return Unsupported("a look into the node's processes (pidfd_getfd, 5.6)", remedy)


def _held(process: int, names: frozenset[str]) -> list[tuple[int, str]]:
    found = []
    try:
        with os.scandir(f"/proc/{process}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    name = os.readlink(entry.path)  # noqa: PTH115 (a Path for each takes twice as long)
                    if name in names:
                        found.append((int(entry.name), name))
    except PermissionError as error:
        raise may_not_look() from error
    except (FileNotFoundError, ProcessLookupError):
        pass  # the process has gone
    return found


# None: the process closed it, or uses the number for something else now.
def _duplicate(process: int, held: int, name: str) -> int | None:
    descriptor = _getfd(process, held)
    if descriptor is not None and str(Path(f"/proc/self/fd/{descriptor}").readlink()) != name:
        os.close(descriptor)
        return None
    return descriptor


def _getfd(process: int, held: int) -> int | None:
    try:
        pidfd = os.pidfd_open(process)
    except ProcessLookupError:
        return None
    try:
        descriptor = int(_libc().syscall(_PIDFD_GETFD, pidfd, held, 0))
    finally:
        os.close(pidfd)
    if descriptor >= 0:
        return descriptor
    if ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
        raise may_not_look()
    return None


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
