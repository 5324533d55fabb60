"""Run a block of this thread in another network namespace."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from types import TracebackType
from typing import Any, Self

_CLONE_NEWNET = 0x40000000
_SO_NETNS_COOKIE = 71


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
    Run the block in the network namespace at `path`; the thread returns in any case.

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


class NamespaceSocket(ABC):
    """
    A socket of the network namespace that this thread is in when it is opened. It stays there.

    A subclass opens it in its constructor, which takes no argument.
    """

    @classmethod
    def inside(cls, path: str) -> Self:
        """Open one in the namespace at `path`. Raises OSError where there is none."""
        with inside(path):
            return cls()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the socket."""


def cookie() -> int | None:
    """Return the kernel's number for the namespace of this thread; None before 5.14, which has none to report."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        try:
            return int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
        except OSError:
            return None
