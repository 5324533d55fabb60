"""One lock per lab: commands that change it do not interleave."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from twinway.errors import LabError
from twinway_lab.names import STATE_ROOT, LabName

_PAUSE_SECONDS = 0.05


@contextmanager
def held(lab: LabName, patience: float) -> Iterator[None]:
    """
    The lab for this command alone; raises `LabError` where another keeps it for `patience` seconds.

    The kernel lets go of the lock when its holder dies, however it dies. The file goes with the lab.
    """
    descriptor = _locked(lab, time.monotonic() + patience)
    try:
        yield
    finally:
        if not lab.state.exists():
            _path(lab).unlink(missing_ok=True)
            remove_empty_folders()
        os.close(descriptor)


def remove_empty_folders() -> None:
    """The folders above all labs go with the last one."""
    for empty in (STATE_ROOT, STATE_ROOT.parent):
        with suppress(OSError):  # not empty, or gone already
            empty.rmdir()


def names() -> list[str]:
    """The labs that have a lock file."""
    return sorted(path.stem for path in STATE_ROOT.glob("*.lock"))


def _path(lab: LabName) -> Path:
    return STATE_ROOT / f"{lab.name}.lock"


def _locked(lab: LabName, deadline: float) -> int:
    while True:
        descriptor = _opened(lab)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # `down` removes the file while others wait for it: a lock on a removed file is none.
            if _path(lab).exists() and os.fstat(descriptor).st_ino == _path(lab).stat().st_ino:
                return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise LabError(f"lab {lab}: another command is changing it: try again when it has ended") from None
            time.sleep(_PAUSE_SECONDS)
        except FileNotFoundError:
            pass  # removed between the two looks
        os.close(descriptor)


def _opened(lab: LabName) -> int:
    STATE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        return os.open(_path(lab), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # `down` has just removed the empty folder
        return _opened(lab)
