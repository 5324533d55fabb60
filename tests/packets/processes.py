"""Other processes: of some cgroup and network namespace, holding sockets of ours."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from twinway_bpf.netlink import netns
from twinway_testing import site


@contextlib.contextmanager
def running(*held: int) -> Iterator[int]:
    """A process where this one is, with these of its descriptors: its id."""
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=held)
    try:
        yield child.pid
    finally:
        child.communicate()


@contextlib.contextmanager
def process(cgroup: Path, namespace: Path, *held: int) -> Iterator[int]:
    """A process in a cgroup and a namespace."""
    with contextlib.ExitStack() as stack:
        with site.member(cgroup), netns.inside(str(namespace)):
            found = stack.enter_context(running(*held))
        yield found
