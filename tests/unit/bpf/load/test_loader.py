"""Loading programs from sources, through a cache that may be empty, old or damaged."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from twinway.errors import LoadError
from twinway_bpf.load import bundle, libbpf, loader, programs
from twinway_bpf.load.loader import Loader, bundle_path, ensure_bundle
from twinway_bpf.load.pins import Pins
from twinway_bpf.load.source import FLAGS

SOURCE = "guard.c"
"""The smallest of the sources."""


@pytest.fixture(scope="session")
def compiled(pytestconfig: pytest.Config) -> Path:
    """A cache with the bundle of every source, kept from run to run."""
    cache = pytestconfig.cache.mkdir("twinway-bundles")
    for source in programs.SOURCES:
        ensure_bundle(source, cache)
    return cache


@pytest.fixture
def cache(compiled: Path, tmp_path: Path) -> Path:
    """A cache of this test's own, with a copy of every bundle."""
    own = tmp_path / "cache"
    own.mkdir()
    for source in programs.SOURCES:
        path = bundle_path(source, compiled)
        (own / path.name).write_bytes(path.read_bytes())
    return own


@pytest.fixture
def pins(pins_root: Path) -> Iterator[Pins]:
    """Pins of this test's own."""
    made = Pins(pins_root)
    yield made
    made.remove_all()


@pytest.mark.parametrize("source", programs.SOURCES)
def test_bundle_has_what_the_source_has(compiled: Path, source: str) -> None:
    """A bundle holds the source's programs, and every map that they load."""
    found = ensure_bundle(source, compiled)
    assert set(found.programs) == {program.name for program in programs.ALL if program.source == source}
    used = {name for code in found.programs.values() for _, name in code.maps}
    assert used <= set(found.maps)


def test_sources_agree_on_their_maps(compiled: Path) -> None:
    """A map that two sources use has one shape in both."""
    seen: dict[str, bundle.MapDecl] = {}
    for source in programs.SOURCES:
        for name, decl in ensure_bundle(source, compiled).maps.items():
            assert seen.setdefault(name, decl) == decl


def test_every_program_loads(cache: Path, pins: Pins) -> None:
    """The verifier accepts every program, and maps have the configured size."""
    found = Loader(pins, cache, {"ct": 1000})
    loaded = found.load(programs.ALL)
    assert set(loaded) == {program.name for program in programs.ALL}
    assert {libbpf.map_info(found.maps["tw_ct_v3"].descriptor).max_entries} == {1000}
    _close(loaded, found)


def test_second_process_uses_the_same_maps(cache: Path, pins: Pins) -> None:
    """Programs of a second process use the map that the first one has filled."""
    first = Loader(pins, cache, {})
    first.open_maps(SOURCE)
    table = first.maps["tw_ep_v3"]
    entry = {bytes(table.decl.key_size): bytes(table.decl.value_size)}
    table.write(entry)
    second = Loader(pins, cache, {})
    loaded = second.load([programs.GUARD_TO])
    assert second.maps["tw_ep_v3"].entries() == entry
    _close(loaded, first, second)


def test_nothing_is_compiled_twice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle in the cache is used without the compiler."""
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert ensure_bundle(SOURCE, cache).programs


def test_shipped_bundles_need_no_compiler(compiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image has bundles from its build, and a cache that cannot be written."""
    monkeypatch.setattr(sys, "executable", "/nowhere")
    monkeypatch.setattr(loader, "SHIPPED", compiled)
    assert ensure_bundle(SOURCE, tmp_path / "cache").programs
    assert not (tmp_path / "cache").exists()


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also where maps get other descriptors, so that an image can be built twice."""
    compiled = []
    for number, folder in enumerate((tmp_path / "a", tmp_path / "b")):
        held = [os.dup(0) for _ in range(number)]
        for descriptor in held:
            os.set_inheritable(descriptor, True)
        folder.mkdir()
        path = bundle_path("opt.c", folder)
        words = [sys.executable, "-m", "twinway_bpf.load.compile", "opt.c", str(path)]
        subprocess.run(words, check=True, close_fds=False)
        compiled.append(path.read_bytes())
        for descriptor in held:
            os.close(descriptor)
    assert compiled[0] == compiled[1]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": 2}'])
def test_damaged_bundle_is_made_anew(cache: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is not a bundle is logged and replaced."""
    path = bundle_path(SOURCE, cache)
    whole = bundle.load(path)
    path.write_text(damage)
    assert ensure_bundle(SOURCE, cache).maps == whole.maps
    assert bundle.load(path).programs.keys() == whole.programs.keys()
    assert "damaged" in caplog.text


def test_key_covers_what_is_compiled_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other flags or other stub headers give another bundle."""
    before = bundle_path(SOURCE, tmp_path)
    monkeypatch.setattr(loader, "FLAGS", (*FLAGS, "-DX"))
    assert bundle_path(SOURCE, tmp_path) != before
    monkeypatch.undo()
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "more.h").write_text("")
    monkeypatch.setattr(loader, "KERNEL", tmp_path)
    assert bundle_path(SOURCE, tmp_path) != before


def test_compiler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the compiler is missing, the error says what failed and what to install."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LoadError, match=r"program guard\.c: does not compile .* is python3-bpfcc installed\?"):
        ensure_bundle(SOURCE, tmp_path / "cache")


def test_refused_program_brings_the_verifiers_words(cache: Path, pins: Pins) -> None:
    """The error for a refused program has the verifier's reason in one line, and the whole log beside it."""
    path = bundle_path(SOURCE, cache)
    whole = bundle.load(path)
    reads_nowhere = struct.pack("=BBhi", 0x61, 0x00, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)  # r0 = *(u32 *)r0
    code = replace(whole.programs["tw_guard_to"], instructions=reads_nowhere, maps=())
    bundle.save(replace(whole, programs={**whole.programs, "tw_guard_to": code}), path)
    found = Loader(pins, cache, {})
    with pytest.raises(LoadError, match=r"program tw_guard_to: the verifier refuses it: R0 !read_ok") as raised:
        found.load([programs.GUARD_TO])
    assert "\n" not in str(raised.value)
    assert "R0 !read_ok" in raised.value.log
    _close({}, found)


def _close(loaded: dict[str, int], *loaders: Loader) -> None:
    for descriptor in loaded.values():
        os.close(descriptor)
    for each in loaders:
        each.close()
