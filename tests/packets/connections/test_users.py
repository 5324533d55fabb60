"""The node's processes: the namespaces they are in, and the sockets they hold."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.packets.processes import process, running
from twinway.model.net import Protocol
from twinway_bpf.connections import sockdiag_holders, users
from twinway_bpf.connections.sockdiag import SockDiag, Socket, State
from twinway_bpf.netlink import netns
from twinway_tc.peers import peers_of_pods
from twinway_testing import site

Speak = Callable[[int], socket.socket]


@pytest.fixture
def namespace() -> Iterator[Path]:
    """This thread is in a network namespace that nobody else uses."""
    with site.namespace("users") as path, netns.inside(str(path)):
        yield path


@pytest.fixture
def speak() -> Iterator[Speak]:
    """Makes sockets that are connected to some port, and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def connected(port: int) -> socket.socket:
            made = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made.connect(("127.0.0.1", port))
            return made

        yield connected


def listed(diag: SockDiag) -> tuple[Socket, ...]:
    """The connected sockets."""
    return diag.sockets(Protocol.UDP, [State.ESTABLISHED])


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A node's cgroup, with a pod's below it."""
    with site.cgroup("users") as root:
        (root / "pod").mkdir()
        try:
            yield root
        finally:
            (root / "pod").rmdir()


def test_each_namespace_once(cgroup: Path, namespace: Path, speak: Speak) -> None:
    """A node's namespaces are those of its processes, in whatever cgroup below its own, once, ours first."""
    with (
        site.namespace("diag-pod") as pod,
        site.namespace("diag-foreign") as foreign,
        process(cgroup / "pod", pod) as one,
        process(cgroup, pod) as two,
        process(cgroup, namespace) as ours,
        process(site.cgroup2(), foreign),
    ):
        for port, place in enumerate((pod, foreign, namespace), 11):
            with netns.inside(str(place)):
                speak(port)
        places = users.namespaces(cgroup)
        assert [(place.is_own, set(place.processes)) for place in places] == [(True, {ours}), (False, {one, two})]
        assert [ports(place) for place in places] == [[13], [11]]
        assert list(peers_of_pods(cgroup)) == [ip_address("127.0.0.1")]


def ports(place: users.Namespace) -> list[int]:
    """Whom its sockets speak with."""
    diag = place.open()
    assert diag is not None
    with diag:
        return [found.peer.port for found in listed(diag)]


def test_no_process_no_namespace(cgroup: Path) -> None:
    """A node without processes has no namespace but ours; nor has one whose cgroup has gone."""
    assert users.namespaces(cgroup) == users.namespaces(cgroup / "gone") == (users.Namespace((), is_own=True),)
    assert list(peers_of_pods(cgroup)) == []


def test_namespace_whose_processes_have_gone(cgroup: Path) -> None:
    """What was there when we looked may have gone when it is opened."""
    with site.namespace("diag-pod") as pod, process(cgroup, pod):
        (_, found) = users.namespaces(cgroup)
    assert found.open() is None


@pytest.fixture
def holder(namespace: Path, speak: Speak) -> Iterator[tuple[int, socket.socket]]:
    """A process that holds a connected socket of ours twice over, and that socket."""
    shared = speak(9)
    again = os.dup(shared.fileno())
    with running(shared.fileno(), again) as process:
        os.close(again)
        yield process, shared


def test_descriptor_of_anothers_socket(holder: tuple[int, socket.socket]) -> None:
    """It is the very socket, given once however many descriptors it has; and closed afterwards."""
    process, shared = holder
    with SockDiag() as diag:
        (found,) = listed(diag)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for inode, descriptor in sockdiag_holders.descriptors([process, process], [found.inode]):
        assert inode == found.inode == os.fstat(shared.fileno()).st_ino
        copy = socket.socket(fileno=os.dup(descriptor))
        with copy:
            assert (copy.getsockname(), copy.fileno() != shared.fileno()) == (shared.getsockname(), True)
        held = descriptor
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        os.fstat(held)


def test_descriptor_of_nobodys_socket(holder: tuple[int, socket.socket]) -> None:
    """Sockets that no process holds, and processes that have gone, give nothing."""
    process, shared = holder
    inode = os.fstat(shared.fileno()).st_ino
    assert list(sockdiag_holders.descriptors([process], [inode + 1_000_000])) == []
    with running() as gone:
        pass
    assert list(sockdiag_holders.descriptors([gone], [inode])) == []
    assert len(list(sockdiag_holders.descriptors([gone, process], [inode]))) == 1


WITHOUT = ("setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace")
"""Runs a command that may not look into processes."""


@pytest.mark.parametrize(
    "words", ["users.namespaces(Path(sys.argv[2]))", "list(sockdiag_holders.descriptors([int(sys.argv[1])], [1]))"]
)
def test_without_the_right_to_look(cgroup: Path, namespace: Path, words: str) -> None:
    """Without CAP_SYS_PTRACE it is said what is missing: it is not that nobody is there."""
    modules = "from twinway_bpf.connections import sockdiag_holders, users"
    code = f"import sys; from pathlib import Path; {modules}; {words}"
    with process(cgroup, namespace) as other:
        command = [*WITHOUT, sys.executable, "-c", code, str(other), str(cgroup)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "twinway.errors.Unsupported: a look into the node's processes" in done.stderr
    assert "CAP_SYS_PTRACE" in done.stderr
