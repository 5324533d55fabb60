"""What the kernel's own statistics say of a node's BPF programs: runs and nanoseconds, while it counts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from twinway_bpf.load import libbpf
from twinway_bpf.load.programs import SCHED_CLS, TCX_EGRESS
from twinway_bpf.netlink import netns
from twinway_testing import site

RUN_TIME = 0
"""enum bpf_stats_type. Source: include/uapi/linux/bpf.h."""
_LOOPBACK, _RUNS = 1, 100_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What one program did."""

    runs: int
    nanoseconds: int

    def __sub__(self, before: Cost) -> Cost:
        return Cost(self.runs - before.runs, self.nanoseconds - before.nanoseconds)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.runs + other.runs, self.nanoseconds + other.nanoseconds)

    @property
    def each(self) -> float:
        """Nanoseconds a run."""
        return self.nanoseconds / self.runs if self.runs else 0.0


@contextmanager
def counting() -> Iterator[None]:
    """The kernel keeps statistics until the block ends; that costs every program a little."""
    descriptor = _lib().bpf_enable_stats(RUN_TIME)
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        yield
    finally:
        os.close(descriptor)


def costs(pins: Path) -> dict[str, Cost]:
    """Of each program that a link below `pins` attaches, by name; the same program at several places adds up."""
    total: dict[str, Cost] = {}
    for program in {_program_of(path) for path in (pins / "links").glob("*/*")}:
        descriptor = _lib().bpf_prog_get_fd_by_id(program)
        if descriptor < 0:
            continue  # its device has just gone
        try:
            info = libbpf.prog_info(descriptor)
        finally:
            os.close(descriptor)
        name = info.name.decode()
        total[name] = total.get(name, Cost(0, 0)) + Cost(info.run_cnt, info.run_time_ns)
    return total


def spent(before: dict[str, Cost], after: dict[str, Cost]) -> dict[str, Cost]:
    """What programs that ran at all did in between, sorted by name."""
    gone = {name: cost - before.get(name, Cost(0, 0)) for name, cost in sorted(after.items())}
    return {name: cost for name, cost in gone.items() if cost.runs}


def program_at(pins: Path, name: str) -> int:
    """A descriptor of the program of that name that some link below `pins` attaches."""
    for path in sorted((pins / "links").glob("*/*")):
        descriptor = int(_lib().bpf_prog_get_fd_by_id(_program_of(path)))
        if descriptor >= 0:
            if libbpf.prog_info(descriptor).name.decode() == name:
                return descriptor
            os.close(descriptor)
    raise FileNotFoundError(f"no link below {pins} attaches {name}")


def _program_of(path: Path) -> int:
    link = libbpf.obj_get(str(path))
    try:
        return int(libbpf.link_info(link).prog_id)
    finally:
        os.close(link)


@cache
def _lib() -> Any:
    return ctypes.CDLL("libbpf.so.1", use_errno=True)


def nothing() -> int:
    """A descriptor of a program for tc's hooks that does nothing."""
    code = struct.pack("=BBhiBBhi", 0xB4, 0, 0, -1, 0x95, 0, 0, 0)  # w0 = TC_ACT_UNSPEC; exit
    return int(libbpf.prog_load(SCHED_CLS, 0, "bench_nothing", code))


def cost_of_counting() -> float:
    """Nanoseconds that the statistics say of a run of a program that does nothing: what counting itself takes."""
    with site.namespace("counting") as namespace, netns.inside(str(namespace)), contextlib.ExitStack() as stack:
        program = nothing()
        stack.callback(os.close, program)
        stack.callback(os.close, libbpf.link_create(program, _LOOPBACK, TCX_EGRESS))
        receiver, sender = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
        receiver.bind(("127.0.0.1", 0))
        with counting():
            before = libbpf.prog_info(program)
            for _ in range(_RUNS):
                sender.sendto(b"", receiver.getsockname())
            after = libbpf.prog_info(program)
    return Cost(after.run_cnt - before.run_cnt, after.run_time_ns - before.run_time_ns).each
