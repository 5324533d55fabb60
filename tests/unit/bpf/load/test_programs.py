"""The list of programs has the functions of the sources, with their types."""

from __future__ import annotations

import re

import pytest

from twinway_bpf.load import bundle, features, programs
from twinway_bpf.load.source import KERNEL, flatten

CONTEXTS = {
    "struct __sk_buff": {programs.SCHED_CLS, programs.CGROUP_SKB},
    "struct bpf_sock_addr": {programs.CGROUP_SOCK_ADDR},
    "struct bpf_sockopt": {programs.CGROUP_SOCKOPT},
}
"""Types of programs by their context."""


def functions(source: str) -> dict[str, str]:
    """The programs that a source defines, and the type of their context."""
    text = (KERNEL / source).read_text()
    return dict(re.findall(r"^int (\w+)\((struct \w+) \*\w+\)", text, re.MULTILINE))


def test_every_function_is_listed() -> None:
    """The list has every function of every source, under its source."""
    defined = {(name, path.name) for path in KERNEL.glob("*.c") for name in functions(path.name)}
    listed = [(program.name, program.source) for program in programs.ALL]
    assert sorted(defined) == sorted(listed)


@pytest.mark.parametrize("program", programs.ALL, ids=lambda program: program.name)
def test_kind_fits_the_context(program: programs.Program) -> None:
    """A program's type in the list fits the context of its function."""
    assert program.kind in CONTEXTS[functions(program.source)[program.name]]


@pytest.mark.parametrize("program", programs.ALL, ids=lambda program: program.name)
def test_name_is_the_kernels_too(program: programs.Program) -> None:
    """Programs differ in the first fifteen characters of their names, which are those that the kernel keeps."""
    assert len({each.name[:15] for each in programs.ALL}) == len(programs.ALL)
    assert program.name.startswith("tw_")


def test_place_of_features_is_the_same_number() -> None:
    """The loader looks for the constant that the header writes, in both of its spellings."""
    text = (KERNEL / "tw_features.h").read_text()
    numbers = {int(number, 16) for number in re.findall(r"0x[0-9a-f]{16}", text)}
    assert numbers == {bundle.FEATURES_PLACE}


def test_feature_bits_are_the_same() -> None:
    """The loader and the programs agree on the bit of each feature."""
    text = (KERNEL / "tw_features.h").read_text()
    in_c = {name: 1 << int(bit) for name, bit in re.findall(r"#define TW_(HAS_\w+) \(1ULL << (\d+)\)", text)}
    in_python = {name: value for name, value in vars(features).items() if name.startswith("HAS_")}
    assert in_c == in_python


def test_source_list_is_the_sources() -> None:
    """Every source is in the list, and can be flattened."""
    assert sorted(programs.SOURCES) == sorted(path.name for path in KERNEL.glob("*.c"))
    assert all(flatten(source) for source in programs.SOURCES)
