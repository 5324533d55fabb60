"""One agent a node: locks that end with their process, and who holds them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twinway.errors import ConfigError
from twinway.files import remedy

LOCKS = Path("/proc/locks")
AGENT_LOCK = "agent.lock"
"""The file of a run_dir that its agent has locked."""


@contextmanager
def only_one_in(run_dir: Path) -> Iterator[None]:
    """Be the only agent with this run_dir, or raise `ConfigError` with the other's pid."""
    path = run_dir / AGENT_LOCK
    try:
        lock = path.open("a+", encoding="ascii")
    except OSError as error:
        raise ConfigError(f"run_dir: {path}: {error.strerror}: {remedy(error)}") from error
    with lock:
        if not _locked(lock.fileno()):
            raise ConfigError(
                f"run_dir: {run_dir}: another agent runs here (pid {_holder(lock.fileno())}): "
                "stop it, or give this one a run_dir of its own"
            )
        # for people: on a full file system it stays empty
        with suppress(OSError):
            lock.truncate(0)
            os.write(lock.fileno(), str(os.getpid()).encode())
        yield


@contextmanager
def only_one_on(bpffs: Path) -> Iterator[None]:
    """
    Be the only one who uses this directory of pins, or raise `ConfigError` with the other's pid.

    The directory itself is locked: two agents whose pins are the same cannot have two run_dirs.
    """
    descriptor = _open_locked(bpffs)
    try:
        yield
    finally:
        os.close(descriptor)


def _open_locked(folder: Path) -> int:
    while True:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        if not _locked(descriptor):
            holder = _holder(descriptor)
            os.close(descriptor)
            raise ConfigError(
                f"bpffs: {folder}: another agent, or a cleanup, uses these pins (pid {holder}): stop it first"
            )
        # whoever held it before may have removed the directory
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        os.close(descriptor)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# 1: FLOCK  ADVISORY  WRITE 4711 00:2f:1234 0 EOF. Source: lock_get_status() in fs/locks.c.
def _holder(descriptor: int) -> str:
    found = os.fstat(descriptor)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with suppress(OSError):
        for line in LOCKS.read_text(encoding="ascii").splitlines():
            words = line.split()
            if len(words) > 5 and words[1] == "FLOCK" and words[5] == place:
                return words[4]
    return "unknown"
