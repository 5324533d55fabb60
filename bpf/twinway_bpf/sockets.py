"""
The socket hooks of one node, shared by both drivers: for pods and host, or for the host alone.

They are links to the node's cgroup, pinned, and replaced one program at a time.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from twinway.driver import Health
from twinway.errors import DriverError
from twinway_bpf import libbpf, programs
from twinway_bpf.layout import Cfg, CfgFlag
from twinway_bpf.loader import Loader
from twinway_bpf.maps import Map
from twinway_bpf.pins import Pins

GROUP = "socket"
PROBE = ("169.254.42.2", 29815)
"""An address that is never anybody's: the hook counts who connects to it, and refuses."""

_KEY = bytes(4)


class Settings:
    """tw_cfg: what the programs look at on every packet and call."""

    def __init__(self, table: Map) -> None:
        """The open map."""
        self._table = table

    def read(self) -> Cfg:
        """The settings of now."""
        value = self._table.lookup(_KEY)
        if value is None:
            raise DriverError("map tw_cfg: its one entry is missing, which an array cannot lack")
        return Cfg.from_buffer_copy(value)

    def write(self, **fields: int) -> bool:
        """Change fields; False if they were so already."""
        cfg = self.read()
        if all(getattr(cfg, name) == value for name, value in fields.items()):
            return False
        for name, value in fields.items():
            setattr(cfg, name, value)
        self._table.write({_KEY: bytes(cfg)})
        return True


class SocketHooks:
    """Connect, sendmsg, recvmsg, getpeername, for both families."""

    def __init__(self, loader: Loader, pins: Pins, cgroup: Path) -> None:
        """`cgroup`: the v2 directory that all of the node's sockets are below."""
        self._loader = loader
        self._pins = pins
        self._cgroup = cgroup

    def attach(self) -> None:
        """Put the programs in place, each in one step where an earlier one stands."""
        loaded = self._loader.load(programs.SOCKET)
        cgroup = self._open_cgroup()
        try:
            for program in programs.SOCKET:
                self._attach(program, loaded[program.name], cgroup)
        finally:
            os.close(cgroup)
            for descriptor in loaded.values():
                os.close(descriptor)

    def serve_pods(self, settings: Settings, *, pods: bool) -> bool:
        """Whether pods' own sockets are served here, or the host's alone."""
        flags = settings.read().flags & ~CfgFlag.PODS_AT_SOCKET
        return settings.write(flags=flags | (CfgFlag.PODS_AT_SOCKET if pods else 0))

    def learn_host(self, settings: Settings) -> None:
        """Let the programs know which network namespace is the host's: the one we are in."""
        if not self._probe(settings):
            reason = f"is the agent in a cgroup below {self._cgroup}?"
            raise DriverError(f"the socket hooks do not see the agent's own sockets: {reason}")
        settings.write(host_netns=settings.read().probe_netns)

    def health(self, settings: Settings) -> Health:
        """Whether a socket call goes through the hooks right now."""
        if self._probe(settings):
            return Health(ok=True, detail="a connect went through the socket hooks")
        return Health(ok=False, detail=f"a connect passed by the socket hooks at {self._cgroup}")

    def detach(self) -> None:
        """Take the programs away."""
        self._pins.remove_group(GROUP)

    def _attach(self, program: programs.Program, descriptor: int, cgroup: int) -> None:
        link = self._pins.link(GROUP, program.name)
        if link is not None:
            try:
                libbpf.link_update(link, descriptor)
            except OSError:
                # the cgroup it was tied to has gone, and with it the link
                self._pins.unpin_link(GROUP, program.name)
            else:
                return
            finally:
                os.close(link)
        try:
            link = libbpf.link_create(descriptor, cgroup, program.attach)
        except OSError as error:
            raise DriverError(f"cannot attach {program.name} to {self._cgroup}: {error.strerror}") from error
        try:
            self._pins.pin_link(GROUP, program.name, link)
        finally:
            os.close(link)

    def _open_cgroup(self) -> int:
        try:
            return os.open(self._cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            reason = (
                f"{error.strerror}: set cgroup_root in the node config to a directory of the cgroup v2 hierarchy"
            )
            raise DriverError(f"cgroup_root {self._cgroup}: {reason}") from error

    def _probe(self, settings: Settings) -> bool:
        before = settings.read().probes
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(PROBE)
        return bool(settings.read().probes != before)
