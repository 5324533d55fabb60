"""Pins: a later process finds maps and links by their names alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from twinway.errors import DriverError
from twinway_bpf.load import libbpf, programs, stamp
from twinway_bpf.load.bundle import MapDecl
from twinway_bpf.load.pins import Pins

DECL = MapDecl("tw_slot_v1", 1, 4, 8, 64, 1)


def test_map_is_made_once(pins_root: Path) -> None:
    """The first call creates the map with its size; later ones open it, whatever size they ask for."""
    first = Pins(pins_root).map(DECL, 7)
    first.write({b"abcd": b"01234567"})
    second = Pins(pins_root).map(DECL, 9)
    assert (first.decl.max_entries, second.decl.max_entries) == (7, 7)
    assert second.entries() == {b"abcd": b"01234567"}
    os.close(first.descriptor)
    os.close(second.descriptor)


def test_map_outlives_its_descriptors(pins_root: Path) -> None:
    """A map keeps its entries when all its descriptors are closed."""
    made = Pins(pins_root).map(DECL)
    made.write({b"abcd": b"01234567"})
    os.close(made.descriptor)
    found = Pins(pins_root).map(DECL)
    assert found.entries() == {b"abcd": b"01234567"}
    assert found.decl.max_entries == 64
    os.close(found.descriptor)


def test_elsewhere_than_on_a_bpf_file_system(tmp_path: Path) -> None:
    """A directory on another file system is refused, and the error says what to do."""
    with pytest.raises(DriverError, match=r"cannot pin .*: is it on a BPF file system \(mount -t bpf\)\?"):
        Pins(tmp_path / "node").map(DECL)


def test_where_nothing_can_be_made() -> None:
    """A directory that cannot be created is refused, and the error says what to do."""
    with pytest.raises(DriverError, match=r"cannot create .*: is .* on a BPF file system"):
        Pins(Path("/proc/twinway")).map(DECL)


def _link(pins: Pins, group: str, name: str) -> None:
    program = stamp.load(1)
    try:
        libbpf.obj_pin(program, str(_folder(pins, group) / name))
    finally:
        os.close(program)


def _folder(pins: Pins, group: str) -> Path:
    folder = pins.root / "links" / group
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_groups_are_apart(pins_root: Path) -> None:
    """Links are found by group and name; removing a group leaves the others and the maps."""
    pins = Pins(pins_root)
    table = pins.map(DECL)
    for group, name in (("packet", "b"), ("packet", "a"), ("socket", "c")):
        _link(pins, group, name)
    assert pins.groups() == ("packet", "socket")
    assert list(pins.links("packet")) == ["a", "b"]
    pins.remove_group("packet")
    assert pins.groups() == ("socket",)
    assert list(pins.links("packet")) == []
    found = pins.link("socket", "c")
    assert found is not None
    assert libbpf.prog_info(found).type == programs.SCHED_CLS
    os.close(found)
    assert (pins_root / "maps" / DECL.name).exists()
    os.close(table.descriptor)


def test_what_is_not_there(pins_root: Path) -> None:
    """Looking up or removing what is not pinned is no error, also before anything is pinned."""
    pins = Pins(pins_root)
    assert pins.link("socket", "x") is None
    assert list(pins.links("socket")) == []
    assert pins.groups() == ()
    pins.unpin_link("socket", "x")
    pins.remove_group("socket")
    pins.remove_all()


def test_pinned_link_is_given_once(pins_root: Path) -> None:
    """A second pin of the same name is an error."""
    pins = Pins(pins_root)
    program = stamp.load(1)
    pins.pin_link("socket", "x", program)
    with pytest.raises(DriverError, match=r"cannot pin .*/socket/x: File exists"):
        pins.pin_link("socket", "x", program)
    pins.unpin_link("socket", "x")
    pins.pin_link("socket", "x", program)
    os.close(program)


def test_nothing_is_left(pins_root: Path) -> None:
    """`remove_all` removes the directories, too."""
    pins = Pins(pins_root)
    os.close(pins.map(DECL).descriptor)
    _link(pins, "socket", "c")
    pins.remove_all()
    assert not pins_root.exists()
