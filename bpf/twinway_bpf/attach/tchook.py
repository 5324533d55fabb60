"""
Programs at a device's tc hooks: a tcx link where the kernel has them, else a direct-action filter.

Other programs at these hooks are left alone: links are appended, the clsact qdisc is shared, and only the
filter with our own priority and handle is written or removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import time
from collections.abc import Iterator
from ctypes import c_int, c_size_t, c_uint32
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any

from twinway.driver import TC_PRIORITY
from twinway.errors import DriverError
from twinway_bpf.load import features, libbpf, programs
from twinway_bpf.load.pins import Pins
from twinway_bpf.netlink import netns

HANDLE = 0x7477

_REPLACE = 1  # BPF_TC_F_REPLACE
_LEAVING_SECONDS = 2
_REASONS = {
    errno.ERANGE: "no slot is free, 64 programs are there (`bpftool net` names them): take one away",
    errno.EEXIST: "our program is there by a link without a pin: detach it (`bpftool link`)",
}
"""Errors of tcx: no slot is free (bpf_mprog_attach), and a program that is attached there already."""


class Side(Enum):
    """The two hooks of a device, with libbpf's number for clsact and the kernel's for tcx."""

    INGRESS = (1, programs.TCX_INGRESS)
    EGRESS = (2, programs.TCX_EGRESS)


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook of one device; `netns` is a path, or empty for the agent's own namespace."""

    name: str
    """Unique among a node's hooks: the name of the pin."""
    netns: str
    ifindex: int
    side: Side
    order: int = 0
    """Rank among our own programs at a hook that belong to different groups."""
    first: bool = False
    """Goes before the other program of its group."""
    device: str = field(default="", compare=False)
    """The device's name, for people."""

    @property
    def rank(self) -> int:
        """Among our own programs at one hook; lower runs first."""
        return 2 * self.order - (1 if self.first else 0)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        inside = " in the pod's namespace" if self.netns else ""
        return f"{self.side.name.lower()} of {self.device or f'device {self.ifindex}'}{inside}"


@dataclass(frozen=True, slots=True)
class Group:
    """Programs whose links are pinned together; `priority` is that of filters of rank 0."""

    pins: Pins
    name: str
    priority: int = TC_PRIORITY

    def link(self, hook: Hook) -> int | None:
        """A descriptor of a hook's link; None: it has no pin."""
        return self.pins.link(self.name, hook.name)

    def priority_at(self, hook: Hook) -> int:
        """The priority of the filter at a hook."""
        return self.priority + hook.rank


class _TcHook(ctypes.Structure):
    _fields_ = (("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32))


class _TcOpts(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    )


def attach(group: Group, hook: Hook, prog: int) -> bool:
    """Attach a program, atomically in place of an earlier one of ours. False: it was attached already."""
    with _namespace(hook):
        try:
            return _attach_tcx(group, hook, prog) if features.has_tcx() else _attach_clsact(group, hook, prog)
        except OSError as error:
            raise DriverError(_REASONS.get(error.errno or 0) or error.strerror or "refused") from error


def is_attached(group: Group, hook: Hook) -> bool:
    """Whether a program of ours is at the hook now."""
    if features.has_tcx():
        link = group.link(hook)
        if link is None:
            return False
        try:
            return bool(libbpf.link_info(link).word0 == hook.ifindex)
        finally:
            os.close(link)
    with contextlib.suppress(OSError, DriverError), _namespace(hook):
        return _query(group, hook) != 0
    return False


def is_over(hook: Hook) -> bool:
    """Whether the device or its namespace has gone, and every hook with it."""
    try:
        with _namespace(hook):
            socket.if_indextoname(hook.ifindex)
    except DriverError:
        return True
    except OSError as error:
        return error.errno == errno.ENXIO
    return False


def detach(group: Group, hook: Hook) -> None:
    """Detach our program; a device or namespace that has gone is no error."""
    group.pins.unpin_link(group.name, hook.name)
    if features.has_tcx():
        return
    with contextlib.suppress(OSError, DriverError), _namespace(hook):
        _detach_clsact(group, hook)


def sweep(group: Group, path: str, order: int) -> None:
    """
    Remove our filters of one rank from every device of a namespace, whoever set them; "": our own namespace.

    Links need no such search, since each of them has a pin.
    """
    hook = Hook("sweep", path, 0, Side.INGRESS, order)
    with contextlib.suppress(OSError, DriverError), _namespace(hook):
        for ifindex, _ in socket.if_nameindex():
            for side in Side:
                for first in (False, True):  # the stamp goes after who looks for it
                    _detach_clsact(group, Hook("sweep", path, ifindex, side, order, first))


def _detach_clsact(group: Group, hook: Hook) -> None:
    opts = _opts(handle=HANDLE, priority=group.priority_at(hook))
    _lib().bpf_tc_detach(ctypes.byref(_tc_hook(hook)), ctypes.byref(opts))


@contextlib.contextmanager
def _namespace(hook: Hook) -> Iterator[None]:
    if not hook.netns:
        yield
        return
    try:
        with netns.inside(hook.netns):
            yield
    except FileNotFoundError as error:
        raise DriverError(f"namespace {hook.netns} has gone") from error


def _attach_tcx(group: Group, hook: Hook, prog: int) -> bool:
    link = group.link(hook)
    if link is not None:
        try:
            info = libbpf.link_info(link)
            if info.word0 == hook.ifindex:
                if info.prog_id == libbpf.prog_info(prog).id:
                    return False
                libbpf.link_update(link, prog)
                return True
        finally:
            os.close(link)
        group.pins.unpin_link(group.name, hook.name)  # it was another device's, which has gone
    link = _linked(hook, prog)
    try:
        group.pins.pin_link(group.name, hook.name, link)
    finally:
        os.close(link)
    return True


# A program can be attached to a hook once. After its pin is removed the kernel detaches it a little later.
def _linked(hook: Hook, prog: int) -> int:
    ends = time.monotonic() + _LEAVING_SECONDS
    while True:
        try:
            return libbpf.link_create(prog, hook.ifindex, hook.side.value[1], first=hook.first)
        except FileExistsError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.001)


def _attach_clsact(group: Group, hook: Hook, prog: int) -> bool:
    if _query(group, hook) == libbpf.prog_info(prog).id:
        return False
    tc_hook = _tc_hook(hook)
    made = _lib().bpf_tc_hook_create(ctypes.byref(tc_hook))
    if made < 0 and -made != errno.EEXIST:
        raise OSError(-made, os.strerror(-made))
    opts = _opts(prog_fd=prog, flags=_REPLACE, handle=HANDLE, priority=group.priority_at(hook))
    done = _lib().bpf_tc_attach(ctypes.byref(tc_hook), ctypes.byref(opts))
    if done < 0:
        raise OSError(-done, os.strerror(-done))
    return True


# The id of our program at the hook; 0: none.
def _query(group: Group, hook: Hook) -> int:
    opts = _opts(handle=HANDLE, priority=group.priority_at(hook))
    if _lib().bpf_tc_query(ctypes.byref(_tc_hook(hook)), ctypes.byref(opts)) < 0:
        return 0
    return int(opts.prog_id)


def _tc_hook(hook: Hook) -> _TcHook:
    return _TcHook(sz=ctypes.sizeof(_TcHook), ifindex=hook.ifindex, attach_point=hook.side.value[0])


def _opts(**fields: int) -> _TcOpts:
    return _TcOpts(sz=ctypes.sizeof(_TcOpts), **fields)


@cache
def _lib() -> Any:
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    lib.libbpf_set_print(None)
    return lib
