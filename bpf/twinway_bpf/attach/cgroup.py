"""
Programs attached to the node's cgroup.

Links to the cgroup are pinned, and replaced one program at a time.
"""

from __future__ import annotations

import os
from pathlib import Path

from twinway.errors import DriverError
from twinway_bpf.load import libbpf
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.pins import Pins
from twinway_bpf.load.programs import Program


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
        Attach the programs; each replaces an earlier one atomically.

        Without `again` it does nothing if this was done before.
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
        """Replace the programs that an earlier process attached by those that were loaded now."""
        self._pins.reload(self._group, self._loaded)

    def missing(self) -> tuple[str, ...]:
        """Programs that were attached and no longer are, as the kernel reports now."""
        return tuple(each.name for each in self._wanted if not self._is_attached(each)) if self._attached else ()

    def detach(self) -> None:
        """Detach the programs. On return none of them runs; they stay loaded."""
        self._pins.remove_group(self._group)
        self._attached = False

    def close(self) -> None:
        """Close the loaded programs; attached ones stay."""
        for descriptor in self._loaded.values():
            os.close(descriptor)
        self._loaded = {}

    def _is_attached(self, program: Program) -> bool:
        link = self._pins.link(self._group, program.name)
        if link is None:
            return False
        try:
            info = libbpf.link_info(link)
        finally:
            os.close(link)
        # the link of a detached program names no cgroup (two words)
        return bool(info.word0 | info.word1) and info.prog_id == libbpf.prog_info(self._loaded[program.name]).id

    def _attach(self, program: Program, descriptor: int, target: int) -> None:
        link = self._pins.link(self._group, program.name)
        if link is not None:
            try:
                libbpf.link_update(link, descriptor)
            except OSError:
                # its cgroup has gone, and the link with it
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


def _open_cgroup(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        reason = f"{error.strerror}: set cgroup_root in the node config to a directory of the cgroup v2 hierarchy"
        raise DriverError(f"cgroup_root {path}: {reason}") from error
