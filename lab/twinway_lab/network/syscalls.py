"""The few system calls about namespaces and mounts that Python 3.11 does not have."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 1 << 20
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_netns(path: Path) -> None:
    """Move this process into the network namespace at `path`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), f"entering {path}")
    finally:
        os.close(descriptor)


def new_netns() -> None:
    """Move this process into a network namespace of its own."""
    _check(_libc.unshare(CLONE_NEWNET), "making a network namespace")


def bind_mount(source: Path, target: Path) -> None:
    """Make what is at `source` visible at `target`, with what is mounted below it."""
    words = (os.fsencode(source), os.fsencode(target), b"none", ctypes.c_ulong(_MS_BIND | _MS_REC), None)
    _check(_libc.mount(*words), f"mounting {target}")


def share_mount(target: Path) -> None:
    """Let mounts below `target` reach other mount namespaces; EINVAL where it is no mount point."""
    words = (b"", os.fsencode(target), b"none", ctypes.c_ulong(_MS_SHARED | _MS_REC), None)
    _check(_libc.mount(*words), f"sharing the mounts below {target}")


def mount_bpffs(target: Path) -> None:
    """Mount a BPF file system of its own at `target`."""
    words = (b"bpf", os.fsencode(target), b"bpf", ctypes.c_ulong(0), b"mode=0700")
    _check(_libc.mount(*words), f"mounting a BPF file system at {target}")


def unmount(target: Path) -> None:
    """Unmount `target` now, though something may still be open in it."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"unmounting {target}")
