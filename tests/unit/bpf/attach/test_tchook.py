"""Programs at a device's hooks, checked by the packets that pass: on tcx, and on clsact."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.bpf.wire import SHOT, UNSPEC, Wire, answering, wanting, wire
from twinway.errors import DriverError
from twinway_bpf.attach import tchook
from twinway_bpf.attach.tchook import Group, Hook, Side
from twinway_bpf.load import features, libbpf, stamp
from twinway_bpf.load.pins import Pins

SECONDS = 10
Program = Callable[[int], int]


@pytest.fixture(params=["tcx", "clsact"])
def attached_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way of attaching. Kernels with tcx are also tested with clsact."""
    if request.param == "clsact":
        monkeypatch.setattr(features, "has_tcx", lambda: False)
    elif not features.has_tcx():
        pytest.skip("this kernel has no tcx (6.6)")
    return str(request.param)


@pytest.fixture
def line(attached_by: str) -> Iterator[Wire]:
    """A wire without programs."""
    with wire() as made:
        assert made.passes()
        assert made.passes(inwards=True)
        yield made


@pytest.fixture
def group(pins_root: Path) -> Iterator[Group]:
    """With pins of its own."""
    pins = Pins(pins_root)
    yield Group(pins, "packet")
    pins.remove_all()


@pytest.fixture
def loaded() -> Iterator[Callable[[int], int]]:
    """A function that keeps a program's descriptor open until the end of the test."""
    kept: list[int] = []

    def keep(descriptor: int) -> int:
        kept.append(descriptor)
        return descriptor

    yield keep
    for descriptor in kept:
        os.close(descriptor)


def hook(line: Wire, name: str = "h", side: Side = Side.EGRESS, *, first: bool = False) -> Hook:
    """A hook at eth0 of the wire."""
    return Hook(name, str(line.namespace), line.ifindex, side, first=first)


@pytest.mark.parametrize("side", Side)
def test_program_decides_its_side(line: Wire, group: Group, loaded: Program, side: Side) -> None:
    """A program at one hook drops packets of that direction alone."""
    where = hook(line, side=side)
    assert tchook.attach(group, where, loaded(answering(SHOT)))
    assert tchook.is_attached(group, where)
    assert line.passes() == (side is not Side.EGRESS)
    assert line.passes(inwards=True) == (side is not Side.INGRESS)


def test_program_is_set_once(line: Wire, group: Group, loaded: Program) -> None:
    """Attaching the same program again changes nothing; another one replaces it at once."""
    drop, let = loaded(answering(SHOT)), loaded(answering(UNSPEC))
    assert tchook.attach(group, hook(line), drop)
    assert not tchook.attach(group, hook(line), drop)
    assert tchook.attach(group, hook(line), let)
    assert line.passes()
    assert tchook.attach(group, hook(line), drop)
    assert not line.passes()


def test_program_goes(line: Wire, group: Group, loaded: Program) -> None:
    """Detaching leaves nothing behind, and can be repeated."""
    tchook.attach(group, hook(line), loaded(answering(SHOT)))
    for _ in range(2):
        tchook.detach(group, hook(line))
        assert not tchook.is_attached(group, hook(line))
    assert list(group.pins.links(group.name)) == []
    _until_passes(line)


def _until_passes(line: Wire) -> None:
    # the kernel frees a link after its last user
    ends = time.monotonic() + SECONDS
    while not line.passes():
        assert time.monotonic() < ends, "the program is still there"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first one first", "first one last"])
def test_first_goes_before(line: Wire, group: Group, loaded: Program, order: tuple[int, int]) -> None:
    """A hook with `first` runs before the other one, whichever was attached first."""
    steps = [
        (hook(line, "first", first=True), loaded(stamp.load(0xFEED0001))),
        (hook(line, "second"), loaded(wanting(0xFEED0001))),
    ]
    for number in order:
        assert tchook.attach(group, *steps[number])
    assert line.passes()


def test_stamp_is_its_own(line: Wire, group: Group, loaded: Program) -> None:
    """A program that expects another stamp than the one set passes nothing."""
    tchook.attach(group, hook(line, "first", first=True), loaded(stamp.load(0xFEED0001)))
    tchook.attach(group, hook(line, "second"), loaded(wanting(0xFEED0002)))
    assert not line.passes()


def test_missing_hook_is_noticed(line: Wire, group: Group, loaded: Program, attached_by: str) -> None:
    """A hook that was removed from outside is reported as missing, and can be attached again."""
    drop = loaded(answering(SHOT))
    tchook.attach(group, hook(line), drop)
    if attached_by == "tcx":
        link = group.link(hook(line))
        assert link is not None
        libbpf.link_detach(link)
        os.close(link)
    else:
        _tc("qdisc", "del", "dev", "eth0", "clsact")
    assert line.passes()
    assert not tchook.is_attached(group, hook(line))
    assert tchook.attach(group, hook(line), drop)
    assert not line.passes()


def test_foreign_filter_stays(line: Wire, group: Group, pins_root: Path, loaded: Program) -> None:
    """A foreign filter works before, beside and after twinway's."""
    (pins_root / "links").mkdir(parents=True)
    libbpf.obj_pin(loaded(answering(SHOT)), str(pins_root / "links" / "foreign"))
    _tc("qdisc", "add", "dev", "eth0", "clsact")
    target = ("egress", "pref", "1", "handle", "1", "bpf", "direct-action")
    _tc("filter", "add", "dev", "eth0", *target, "object-pinned", str(pins_root / "links" / "foreign"))
    (pins_root / "links" / "foreign").unlink()
    assert not line.passes()
    tchook.attach(group, hook(line), loaded(answering(UNSPEC)))
    assert not line.passes()
    tchook.detach(group, hook(line))
    assert not line.passes()
    _tc("filter", "del", "dev", "eth0", "egress", "pref", "1")
    assert line.passes()


def test_device_that_is_gone(line: Wire, group: Group, loaded: Program) -> None:
    """A deleted device takes its hook along, and another device of the same name can be hooked."""
    drop = loaded(answering(SHOT))
    tchook.attach(group, hook(line), drop)
    subprocess.run(["ip", "link", "del", "eth0"], check=True)
    assert not tchook.is_attached(group, hook(line))
    with pytest.raises(DriverError, match=r"No such device|gone"):
        tchook.attach(group, hook(line), drop)
    with wire() as again:
        where = replace(hook(again), ifindex=again.ifindex)
        assert tchook.attach(group, where, drop)
        assert not again.passes()
    tchook.detach(group, hook(line))


def test_namespace_that_is_gone(group: Group, loaded: Program, attached_by: str) -> None:
    """A hook in a missing namespace cannot be attached, is reported as missing, and can be detached."""
    where = Hook("h", "/run/netns/twp-never-was", 2, Side.INGRESS)
    with pytest.raises(DriverError, match=r"namespace /run/netns/twp-never-was has gone"):
        tchook.attach(group, where, loaded(answering(SHOT)))
    assert not tchook.is_attached(group, where)
    tchook.detach(group, where)


@pytest.mark.parametrize("attached_by", ["clsact"], indirect=True)  # links are found by their pins
def test_sweep_finds_what_an_earlier_process_set(line: Wire, group: Group, loaded: Program) -> None:
    """`sweep` finds the filters of one order on every device of a namespace; those of another order stay."""
    mine, others = hook(line, "a"), replace(hook(line, "b", Side.INGRESS), order=1)
    for each in (mine, replace(mine, name="c", first=True), others):
        tchook.attach(group, each, loaded(answering(SHOT)))
    tchook.sweep(group, str(line.namespace), order=0)
    assert line.passes()
    assert not line.passes(inwards=True)
    tchook.sweep(group, str(line.namespace), order=1)
    assert line.passes(inwards=True)


def _tc(*words: str) -> None:
    subprocess.run(["tc", *words], check=True, capture_output=True)
