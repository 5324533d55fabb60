"""Network namespaces of this thread, and how to be in another one for a moment."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

_CLONE_NEWNET = 0x40000000


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _setns(descriptor: int) -> None:
    if _libc().setns(descriptor, _CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def inside(path: str) -> Iterator[None]:
    """
    Run the block in the network namespace at `path`; the thread comes back whatever happens.

    Raises OSError where there is no such namespace.
    """
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(here)
    finally:
        os.close(here)
