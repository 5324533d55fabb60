"""
Whether a request's network namespace and interface are there, looked at from a thread that ends with the look.

The only module of core that asks libc by `ctypes`: Python 3.11 has no other way into a namespace.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

from twinway.cni.errors import CniError, Code

_CLONE_NEWNET = 0x40000000
_NS_GET_NSTYPE = 0xB703  # Source: include/uapi/linux/nsfs.h, since Linux 4.11


def refuse_wrong_place(netns: str, ifname: str) -> None:
    """Raise `CniError` unless `netns` is a network namespace, not the node's own, that has this interface."""
    try:
        descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise _wrong("CNI_NETNS", f"{netns} does not exist for the agent") from error
        raise _wrong("CNI_NETNS", f"{netns} cannot be opened: {error.strerror}") from error
    try:
        _refuse_other_files(netns, descriptor)
        _refuse_missing(netns, ifname, descriptor)
    finally:
        os.close(descriptor)


def _refuse_other_files(netns: str, descriptor: int) -> None:
    try:
        kind = fcntl.ioctl(descriptor, _NS_GET_NSTYPE)
    except OSError:
        kind = 0
    if kind != _CLONE_NEWNET:
        raise _wrong("CNI_NETNS", f"{netns} is no network namespace")
    if os.path.samestat(os.fstat(descriptor), Path("/proc/self/ns/net").stat()):
        raise _wrong("CNI_NETNS", f"{netns} is the agent's own network: a pod needs one of its own")


def _refuse_missing(netns: str, ifname: str, descriptor: int) -> None:
    found: list[int | OSError] = []
    looking = Thread(target=lambda: found.append(_index_in(descriptor, ifname)), name="cni namespace", daemon=True)
    looking.start()
    looking.join()
    match found:
        case [int(index)] if index:
            return
        case [OSError() as error]:
            raise CniError(Code.IO_FAILURE, f"{netns} cannot be entered: {error.strerror}") from error
        case _:
            raise _wrong("CNI_IFNAME", f"there is no interface {ifname} in {netns}")


def _index_in(descriptor: int, ifname: str) -> int | OSError:
    # This thread never leaves the namespace: it ends in it, and no other one was ever there.
    if _libc().setns(descriptor, _CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        return OSError(number, os.strerror(number))
    try:
        return socket.if_nametoindex(ifname)
    except OSError:
        return 0


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _wrong(variable: str, reason: str) -> CniError:
    return CniError(Code.INVALID_ENVIRONMENT, f"{variable}: {reason}")
