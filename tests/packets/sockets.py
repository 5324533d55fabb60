"""
Real sockets below real socket hooks: one cgroup, a namespace that is the host's, one that is a pod's.

Backends are sockets on the host namespace's loopback; Services' addresses exist nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.packets.rig import V4, V6, Net
from tests.packets.tables import Tables
from twinway.driver import Health
from twinway_bpf.attach import tchook
from twinway_bpf.attach.cgroup import CgroupHooks
from twinway_bpf.attach.probe import health, learn_host
from twinway_bpf.load import programs
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.pins import Pins
from twinway_bpf.load.programs import Program
from twinway_bpf.netlink import netns
from twinway_testing import site as places
from twinway_testing.frames import End

PODS = tuple(address for net in (V4, V6) for address in (net.client, net.server, net.other, net.away))
ADDRESSES = tuple(f"addr add {address} dev lo" for address in PODS)
SECONDS = 5
LOOPBACK = 1
SO_COOKIE = 57
Name = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a program asks the kernel for, and how it spells addresses."""

    family: socket.AddressFamily
    mapped: bool = False
    """IPv4 through an IPv6 socket."""

    @property
    def vip(self) -> End:
        """The Service."""
        return End(self._net.vip, 80)

    @property
    def client(self) -> End:
        """A pod that asks; its port is any."""
        return End(self._net.client)

    @property
    def server(self) -> End:
        """Its backend."""
        return End(self._net.server, 8080)

    @property
    def others(self) -> tuple[End, End]:
        """Two further backends."""
        return End(self._net.other, 8081), End(self._net.away, 8082)

    @property
    def _net(self) -> Net:
        return V6 if self.family == socket.AF_INET6 and not self.mapped else V4

    def spelled(self, end: End) -> Name:
        """An end as this kind of socket names it."""
        return (f"::ffff:{end.address}" if self.mapped else str(end.address)), end.port


KINDS = {
    "v4": Kind(socket.AF_INET),
    "v6": Kind(socket.AF_INET6),
    "v4 mapped": Kind(socket.AF_INET6, mapped=True),
}


class Site:
    """Makes sockets, and closes them all at the end."""

    def __init__(self, tables: Tables, loader: Loader, pins: Pins, cgroup: Path, pod: Path) -> None:
        self.tables = tables
        self._loader = loader
        self._pins = pins
        groups = {"socket": (*programs.SOCKET, programs.SETSOCKOPT), "policy": programs.SOCKET_POLICY}
        self._hooks = tuple(CgroupHooks(name, wanted, loader, pins) for name, wanted in groups.items())
        self.cgroup = cgroup
        self.pod = pod
        self._sockets = contextlib.ExitStack()

    def attach(self) -> None:
        """Set the hooks, or set them again."""
        for each in self._hooks:
            each.attach(self.cgroup)

    def detach(self) -> None:
        """Take the hooks away."""
        for each in self._hooks:
            each.detach()

    def let_go(self) -> None:
        """Of the loaded programs."""
        for each in self._hooks:
            each.close()

    @contextlib.contextmanager
    def guarded(self, *guards: tuple[tchook.Side, Program]) -> Iterator[None]:
        """At rest: nothing looks at sockets' packets, and these programs are at the loopback, during the block."""
        policy = self._hooks[-1]
        policy.detach()
        hooks = [tchook.Hook(program.name, "", LOOPBACK, side) for side, program in guards]
        group = tchook.Group(self._pins, "guard")
        loaded = self._loader.load(program for _, program in guards)
        try:
            for hook in hooks:
                tchook.attach(group, hook, loaded[hook.name])
            yield
        finally:
            for hook in hooks:
                self._pins.end_link("guard", hook.name)  # a link that is only let go ends a moment later
                tchook.detach(group, hook)
            for descriptor in loaded.values():
                os.close(descriptor)
            policy.attach(self.cgroup)

    def open(self, kind: Kind, what: socket.SocketKind) -> socket.socket:
        """A client's socket."""
        made = socket.socket(kind.family, what)
        self.keep(made)
        made.settimeout(SECONDS)
        return made

    def in_pod(self, kind: Kind, what: socket.SocketKind) -> socket.socket:
        """A socket of a program in the pod."""
        with netns.inside(str(self.pod)):
            return self.open(kind, what)

    def at(self, kind: Kind, what: socket.SocketKind, end: End) -> socket.socket:
        """A client's socket at an address of its own."""
        made = self.open(kind, what)
        made.bind(kind.spelled(end))
        return made

    def listen(self, end: End) -> socket.socket:
        """A TCP backend; connections are made without its doing."""
        made = self._bound(end, socket.SOCK_STREAM)
        made.listen()
        return made

    def receive(self, end: End) -> socket.socket:
        """A UDP backend."""
        return self._bound(end, socket.SOCK_DGRAM)

    def _bound(self, end: End, what: socket.SocketKind) -> socket.socket:
        family = socket.AF_INET if end.address.version == 4 else socket.AF_INET6
        made = socket.socket(family, what)
        self.keep(made)
        made.settimeout(SECONDS)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(end.address), end.port))
        return made

    def learn_host(self) -> None:
        """Let the hooks know the host's namespace."""
        learn_host(self.tables.settings, self.tables.notices, self.cgroup)

    @property
    def health(self) -> Health:
        """Whether a connect goes through the hooks now."""
        return health(self.tables.notices, self.cgroup)

    def keep(self, made: socket.socket) -> None:
        """Close a socket with the others, and at once: nothing of it is sent again in a later test."""
        if made.type == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sockets.enter_context(made)

    def close(self) -> None:
        """Close every socket."""
        self._sockets.close()


@contextlib.contextmanager
def node(loader: Loader, tables: Tables, bpffs: Path) -> Iterator[Site]:
    """This process is in the node's cgroup and host namespace, and its hooks are set, during the block."""
    with (
        places.namespace("sock-host", *ADDRESSES) as host,
        places.namespace("sock-pod", *ADDRESSES) as pod,
        places.cgroup("sockets") as cgroup,
        places.member(cgroup),
        netns.inside(str(host)),
    ):
        site = Site(tables, loader, Pins(bpffs / "sockets"), cgroup, pod)
        site.attach()
        try:
            yield site
        finally:
            site.detach()
            site.let_go()


def is_ready(of: socket.socket, event: int, seconds: float = 0.0) -> bool:
    """Whether poll() names this event within the time. select() takes no descriptor above 1023."""
    asked = select.poll()
    asked.register(of, event)
    return any(found & event for _, found in asked.poll(seconds * 1000))


def disconnect(connected: socket.socket) -> None:
    """connect() to AF_UNSPEC, which Python's own cannot say."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(connected.fileno(), bytes(16), 16):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def cookie(end: socket.socket) -> bytes:
    """What the programs know a socket by."""
    return end.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8)


def plain(name: tuple[object, ...]) -> Name:
    """Address and port of what a socket call names."""
    return str(ip_address(str(name[0]))), int(str(name[1]))


def reply(server: socket.socket, data: bytes = b"reply") -> bytes:
    """A UDP backend answers whoever asked next; what it was asked."""
    asked, who = server.recvfrom(100)
    server.sendto(data, who)
    return asked
