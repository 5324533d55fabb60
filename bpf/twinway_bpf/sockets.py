"""
Programs at the node's cgroup, and the settings that all programs look at.

Links to the cgroup are pinned, and replaced one program at a time.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from twinway.driver import Health
from twinway.errors import DriverError
from twinway_bpf import libbpf
from twinway_bpf.layout import Cfg, CfgFlag, Notes
from twinway_bpf.loader import Loader
from twinway_bpf.maps import Map
from twinway_bpf.pins import Pins
from twinway_bpf.programs import Program

PROBE = ("169.254.42.2", 29815)
"""An address that is never anybody's: the hook counts who connects to it, and refuses."""

_KEY = bytes(4)


class Settings:
    """tw_cfg: what the programs look at on every packet and call. Nobody but the agent writes it."""

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

    def grow(self, field: str) -> None:
        """Let what compares a field with an earlier reading of it find another one."""
        self.write(**{field: (getattr(self.read(), field) + 1) & 0xFFFFFFFF})

    def flag(self, flag: CfgFlag, *, on: bool) -> bool:
        """Set or clear a flag; False if it was so already."""
        flags = self.read().flags & ~flag
        return self.write(flags=flags | (flag if on else 0))


class Notices:
    """tw_notes: what the programs have to tell the agent. Nobody but they write it."""

    def __init__(self, table: Map) -> None:
        """The open map."""
        self._table = table

    def read(self) -> Notes:
        """What they have told by now."""
        value = self._table.lookup(_KEY)
        if value is None:
            raise DriverError("map tw_notes: its one entry is missing, which an array cannot lack")
        return Notes.from_buffer_copy(value)


class CgroupHooks:
    """Programs attached to the node's cgroup, under one group of pins."""

    def __init__(self, group: str, wanted: tuple[Program, ...], loader: Loader, pins: Pins) -> None:
        """`wanted`: programs whose `attach` is a cgroup's."""
        self._group = group
        self._wanted = wanted
        self._loader = loader
        self._pins = pins
        self._loaded: dict[str, int] = {}
        self._attached = False

    def load(self) -> None:
        """Load the programs, which takes longer than to attach them. Raises LoadError."""
        if not self._loaded:
            self._loaded = self._loader.load(self._wanted)

    def attach(self, cgroup: Path, *, again: bool = True) -> None:
        """
        Put the programs in place, each in one step where an earlier one stands.

        Without `again`: nothing if this was done before.
        """
        if self._attached and not again:
            return
        self.load()
        target = _open_cgroup(cgroup)
        try:
            for program in self._wanted:
                self._attach(program, self._loaded[program.name], target)
        except OSError as error:
            raise DriverError(f"cannot attach {self._group} programs to {cgroup}: {error.strerror}") from error
        finally:
            os.close(target)
        self._attached = True

    def reload(self) -> None:
        """Have hooks of an earlier process run what was loaded now."""
        self._pins.reload(self._group, self._loaded)

    def missing(self) -> tuple[str, ...]:
        """Programs that were attached and are not any more, as the kernel tells now."""
        return tuple(each.name for each in self._wanted if not self._stands(each)) if self._attached else ()

    def detach(self) -> None:
        """Take the programs away: on return they run no more. They stay loaded."""
        self._pins.remove_group(self._group)
        self._attached = False

    def close(self) -> None:
        """Let go of the loaded programs; attached ones stay."""
        for descriptor in self._loaded.values():
            os.close(descriptor)
        self._loaded = {}

    def _stands(self, program: Program) -> bool:
        link = self._pins.link(self._group, program.name)
        if link is None:
            return False
        try:
            info = libbpf.link_info(link)
        finally:
            os.close(link)
        # without a cgroup (two words of it), it has been undone
        return bool(info.word0 | info.word1) and info.prog_id == libbpf.prog_info(self._loaded[program.name]).id

    def _attach(self, program: Program, descriptor: int, target: int) -> None:
        link = self._pins.link(self._group, program.name)
        if link is not None:
            try:
                libbpf.link_update(link, descriptor)
            except OSError:
                # the cgroup it was tied to has gone, and with it the link
                self._pins.unpin_link(self._group, program.name)
            else:
                return
            finally:
                os.close(link)
        link = libbpf.link_create(descriptor, target, program.attach)
        try:
            self._pins.pin_link(self._group, program.name, link)
        finally:
            os.close(link)


def learn_host(settings: Settings, notices: Notices, cgroup: Path) -> None:
    """Let the programs know which network namespace is the host's: the one we are in."""
    if not _probe(notices):
        reason = "the agent itself is in none below it: set it in the node config to one that holds the whole node"
        raise DriverError(f"cgroup_root {cgroup}: {reason}")
    settings.write(host_netns=notices.read().probe_netns)


def health(notices: Notices, cgroup: Path) -> Health:
    """Whether a socket call goes through the hooks right now."""
    if _probe(notices):
        return Health(ok=True, detail="a connect went through the socket hooks")
    return Health(ok=False, detail=f"a connect passed by the socket hooks at {cgroup}")


def _open_cgroup(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        reason = f"{error.strerror}: set cgroup_root in the node config to a directory of the cgroup v2 hierarchy"
        raise DriverError(f"cgroup_root {path}: {reason}") from error


def _probe(notices: Notices) -> bool:
    before = notices.read().probes
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(PROBE)
    return bool(notices.read().probes != before)
