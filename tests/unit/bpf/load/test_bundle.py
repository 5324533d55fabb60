"""Bundles: they are saved and loaded unchanged, and the loader fills in the right places."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinway_bpf.load import bundle
from twinway_bpf.load.bundle import FEATURES_PLACE, Bundle, Code, MapDecl

INSN = struct.Struct("=BBhi")
numbers = st.integers(0, 2**31 - 1)
names = st.from_regex(r"tw_[a-z0-9_]{1,10}", fullmatch=True)
decls = st.builds(MapDecl, names, numbers, numbers, numbers, numbers, numbers)
codes = st.builds(
    Code,
    names,
    st.integers(1, 8).flatmap(lambda count: st.binary(min_size=count * 8, max_size=count * 8)),
    st.lists(st.tuples(numbers, names), max_size=3).map(tuple),
)
bundles = st.builds(
    Bundle,
    names,
    st.lists(codes, max_size=3).map(lambda found: {code.name: code for code in found}),
    st.lists(decls, max_size=3).map(lambda found: {decl.name: decl for decl in found}),
)


def load_imm64(value: int, register: int = 1, kind: int = 0) -> bytes:
    """The two instructions that load a 64-bit constant."""
    low, high = struct.unpack("=ii", struct.pack("=Q", value))
    return INSN.pack(0x18, kind << 4 | register, 0, low) + INSN.pack(0, 0, 0, high)


def move(value: int) -> bytes:
    """An instruction without a place to fill in."""
    return INSN.pack(0xB7, 0, 0, value)


@settings(deadline=None)
@given(bundles)
def test_saved_and_loaded_is_the_same(tmp_path_factory: pytest.TempPathFactory, made: Bundle) -> None:
    """A bundle that is saved and loaded is equal, and no temporary file is left."""
    path = tmp_path_factory.mktemp("bundle") / "x.json"
    bundle.save(made, path)
    assert bundle.load(path) == made
    assert list(path.parent.iterdir()) == [path]


def test_other_format_is_refused(tmp_path: Path) -> None:
    """A file of another format is refused, and the message names both formats."""
    path = tmp_path / "x.json"
    bundle.save(Bundle("k", {}, {}), path)
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match=r"its format is 2, not 1"):
        bundle.load(path)


@pytest.mark.parametrize("text", ["", "{"])
def test_half_a_file_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is not JSON raises ValueError."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        bundle.load(path)


@pytest.mark.parametrize("text", ['{"format": 1}', "[]", "null", '{"format": 1, "key": "k", "maps": [1]}'])
def test_foreign_file_is_refused(tmp_path: Path, text: str) -> None:
    """JSON that is not a bundle raises ValueError, as `load` promises."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        bundle.load(path)


def test_key_is_of_the_text() -> None:
    """Any change of the source changes the key."""
    assert bundle.key_of("int a;") == bundle.key_of("int a;")
    assert bundle.key_of("int a;") != bundle.key_of("int a; ")


def test_maps_are_found_by_their_descriptors() -> None:
    """Each load of a map is found by index and name, and constants of the same value are left out."""
    code = move(3) + load_imm64(3, kind=1) + load_imm64(3, kind=0) + move(4) + load_imm64(4, kind=1)
    assert bundle.map_places(code, {3: "tw_a", 4: "tw_b"}) == ((1, "tw_a"), (6, "tw_b"))


@given(descriptor=numbers, features=st.integers(0, 2**64 - 1))
def test_places_are_filled(descriptor: int, features: int) -> None:
    """Descriptors and features are written to their places, and no other byte changes."""
    code = Code(
        "tw_x",
        move(1)
        + load_imm64(99, 2, kind=1)
        + load_imm64(FEATURES_PLACE, 3)
        + move(2)
        + load_imm64(FEATURES_PLACE, 4),
        ((1, "tw_a"),),
    )
    expected = move(1) + load_imm64(descriptor, 2, kind=1) + load_imm64(features, 3) + move(2)
    assert code.bound({"tw_a": descriptor}, features) == expected + load_imm64(features, 4)


def test_half_a_place_is_none() -> None:
    """A constant that shares one half with the placeholder is left unchanged."""
    low, high = FEATURES_PLACE & 0xFFFFFFFF, FEATURES_PLACE >> 32
    code = load_imm64(low | 7 << 32) + load_imm64(7 | high << 32) + INSN.pack(0x18, 1, 0, 0)
    assert Code("tw_x", code, ()).bound({}, 5) == code
