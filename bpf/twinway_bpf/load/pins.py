"""
The directory of pins on a BPF file system, which survives the agent.

    maps/NAME              tables; the name carries the layout version
    links/GROUP/NAME       links; a group belongs to one driver or layer

Everything below that directory is twinway's, and nothing outside it is. A restarted agent finds its maps and
links there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from twinway.errors import DriverError
from twinway_bpf.load import libbpf, maps
from twinway_bpf.load.bundle import MapDecl

BPF_FS_MAGIC = 0xCAFE4A11
_NAME_LENGTH = 15  # of a program: BPF_OBJ_NAME_LEN without the terminating zero


class Pins:
    """The pins of one node."""

    def __init__(self, root: Path) -> None:
        """`root` is a directory on a BPF file system; it need not exist yet."""
        self.root = root

    def map(self, decl: MapDecl, capacity: int | None = None) -> maps.Map:
        """The pinned map of this name and shape. If there is none, one with `capacity` entries is created."""
        path = self._directory("maps") / decl.name
        found = maps.open_pinned(decl, path)
        if found is not None:
            return found
        made = maps.create(replace(decl, max_entries=capacity or decl.max_entries))
        try:
            _pin(made.descriptor, path)
        except BaseException:
            os.close(made.descriptor)
            raise
        return made

    def replace_map(self, table: maps.Map) -> None:
        """Pin a map in place of another one of its name, atomically."""
        folder = self._directory("maps")
        beside = folder / f"{table.name}_next"
        beside.unlink(missing_ok=True)  # a process that died here has left it
        _pin(table.descriptor, beside)
        beside.replace(folder / table.name)

    def reload(self, group: str, loaded: Mapping[str, int]) -> int:
        """Replace the programs of a group's links by those of the same name in `loaded`; return how many."""
        kernels = {name[:_NAME_LENGTH]: descriptor for name, descriptor in loaded.items()}
        done = 0
        for name in self.links(group):
            link = self.link(group, name)
            if link is None:
                continue
            # a link whose device or cgroup is gone has no program to replace
            with contextlib.suppress(OSError):
                program = libbpf.prog_by_id(libbpf.link_info(link).prog_id)
                called = libbpf.prog_info(program).name.decode()
                os.close(program)
                if called in kernels:
                    libbpf.link_update(link, kernels[called])
                    done += 1
            os.close(link)
        return done

    def fault(self) -> str | None:
        """Why nothing can be pinned here, in one line, or None."""
        if file_system(self.root) == BPF_FS_MAGIC:
            return None
        return f"bpffs: {self.root} is not on a BPF file system: mount -t bpf bpf {self.root.parent}"

    def lacks(self, name: str) -> bool:
        """Whether no map of this name is pinned."""
        return not (self.root / "maps" / name).exists()

    def keep(self, table: maps.Map) -> None:
        """Pin an open map whose pin is missing."""
        _pin(table.descriptor, self._directory("maps") / table.name)

    def link(self, group: str, name: str) -> int | None:
        """A descriptor of a pinned link, or None."""
        try:
            return libbpf.obj_get(str(self.root / "links" / group / name))
        except OSError:
            return None

    def pin_link(self, group: str, name: str, descriptor: int) -> None:
        """Pin a link, so that it survives this process."""
        path = self._directory("links") / group
        path.mkdir(exist_ok=True)
        _pin(descriptor, path / name)

    def unpin_link(self, group: str, name: str) -> None:
        """Remove a link's pin. The program runs until the kernel frees the link, after its last descriptor."""
        (self.root / "links" / group / name).unlink(missing_ok=True)

    def end_link(self, group: str, name: str) -> None:
        """Detach a link and remove its pin. When this returns, its program no longer runs."""
        link = self.link(group, name)
        if link is not None:
            # the device or cgroup may be gone already
            with contextlib.suppress(OSError):
                libbpf.link_detach(link)
            os.close(link)
        self.unpin_link(group, name)

    def links(self, group: str) -> Iterator[str]:
        """The sorted names of a group's pinned links."""
        with contextlib.suppress(FileNotFoundError):
            yield from sorted(path.name for path in (self.root / "links" / group).iterdir())

    def remove_group(self, group: str) -> None:
        """Detach all links of a group and remove their pins."""
        for name in self.links(group):
            self.end_link(group, name)
        self._remove(self.root / "links" / group)

    def groups(self) -> tuple[str, ...]:
        """The sorted names of the groups that have pins."""
        with contextlib.suppress(FileNotFoundError):
            return tuple(sorted(path.name for path in (self.root / "links").iterdir()))
        return ()

    def remove_all(self) -> None:
        """Detach all links and remove all pins. Maps are freed with the last program that uses them."""
        for group in self.groups():
            self.remove_group(group)
        self._remove(self.root / "maps")
        for directory in (self.root / "links", self.root):
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _directory(self, name: str) -> Path:
        path = self.root / name
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot create {path}: {error.strerror}: is {self.root} on a BPF file system (mount -t bpf)?"
            raise DriverError(reason) from error
        return path

    def _remove(self, directory: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            for entry in directory.iterdir():
                entry.unlink(missing_ok=True)
            directory.rmdir()


def file_system(path: Path) -> int:
    """The magic number of the file system of a path, or of its nearest parent that exists; 0 if it is unknown."""
    while not path.exists() and path != path.parent:
        path = path.parent
    buffer = (ctypes.c_long * 32)()
    if ctypes.CDLL(None).statfs(str(path).encode(), buffer):
        return 0
    return int(buffer[0]) & 0xFFFFFFFF


def _pin(descriptor: int, path: Path) -> None:
    try:
        libbpf.obj_pin(descriptor, str(path))
    except OSError as error:
        raise DriverError(
            f"cannot pin {path}: {error.strerror}: is it on a BPF file system (mount -t bpf)?"
        ) from error
