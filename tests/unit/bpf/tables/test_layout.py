"""
The C compiler checks the Python mirror of the programs' structs.

Each field's offset and size, each struct's size and each enum's value becomes a `_Static_assert` beside the real
headers, which the compiler refuses if it is wrong.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Iterator, Mapping
from enum import IntEnum, IntFlag
from itertools import chain

import pytest

from twinway.model.node import DENY_ALL, Action, Scope
from twinway.model.policy import Direction
from twinway_bpf.load.source import KERNEL
from twinway_bpf.tables.layout import ENUMS, STRUCTS, Ep

CLANG = (
    *("clang-14", "-target", "bpf", "-fsyntax-only", "-Wpadded", "-Werror"),
    *("-I", str(KERNEL / "include"), "-x", "c", "-"),
)
Structs = Mapping[str, type[ctypes.Structure]]
Enums = Mapping[str, type[IntEnum] | type[IntFlag]]

MODEL: Enums = {"TW_SCOPE_": Scope, "TW_": Direction}
"""Enums of the model whose values the tables use, by their prefix in C."""
ACTIONS: Enums = {"TW_": Action}


def shared_types() -> str:
    """tw_types.h, and the enum of verdict.h, whose includes only BCC can compile."""
    (reasons,) = re.findall(r"enum tw_reason \{.*?\};", (KERNEL / "verdict.h").read_text(), re.DOTALL)
    return f"{(KERNEL / 'tw_types.h').read_text()}{reasons}\n"


def assertions(structs: Structs, *enums: Enums) -> Iterator[str]:
    """The claims of the mirror as C expressions."""
    for name, mirror in structs.items():
        yield f"sizeof(struct {name}) == {ctypes.sizeof(mirror)}"
        for field, kind in _fields(mirror):
            yield f"__builtin_offsetof(struct {name}, {field}) == {getattr(mirror, field).offset}"
            yield f"sizeof(((struct {name} *)0)->{field}) == {ctypes.sizeof(kind)}"
    for prefix, enum in chain.from_iterable(each.items() for each in enums):
        for member in enum:
            yield f"{prefix}{member.name} == {member.value}"


def refusals(structs: Structs, *enums: Enums) -> list[str]:
    """The compiler's errors about the claims."""
    return compiled("".join(f'_Static_assert({claim}, "mirror");\n' for claim in assertions(structs, *enums)))


def compiled(code: str) -> list[str]:
    """The compiler's errors in `code`, which follows the shared types."""
    done = subprocess.run(CLANG, input=shared_types() + code, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stderr)
    return [line for line in done.stderr.splitlines() if " error: " in line]


def _fields(mirror: type[ctypes.Structure]) -> list[tuple[str, type[ctypes._SimpleCData]]]:
    return [(field[0], field[1]) for field in mirror._fields_]  # type: ignore[misc]


def test_mirror_is_true() -> None:
    """Every claim of the mirror holds, and no struct has padding without a name."""
    assert refusals(STRUCTS, ENUMS, MODEL, ACTIONS) == []


def test_mirror_is_whole() -> None:
    """The mirror has all structs of the header, and all fields of each."""
    assert set(re.findall(r"^struct (tw_\w+) \{", shared_types(), re.MULTILINE)) == set(STRUCTS)
    for name, mirror in STRUCTS.items():
        assert sum(ctypes.sizeof(kind) for _, kind in _fields(mirror)) == ctypes.sizeof(mirror), name


def test_mirrored_enums_are_whole() -> None:
    """A mirrored enum has all constants of the header."""
    known = {
        f"{prefix}{member.name}"
        for each in (ENUMS, MODEL, ACTIONS)
        for prefix, enum in each.items()
        for member in enum
    }
    known.add("TW_REASONS")  # the number of reasons
    for body in re.findall(r"^enum tw_\w+ \{(.*?)\};", shared_types(), re.DOTALL | re.MULTILINE):
        constants = set(re.findall(r"^\s*(TW_\w+)", body, re.MULTILINE))
        assert constants <= known or not constants & known, constants - known


def test_deny_all_is_the_models() -> None:
    """The set that denies everything has one id on both sides."""
    assert compiled(f'_Static_assert(TW_DENY_ALL == {DENY_ALL}, "mirror");\n') == []


def _doctored(**changes: object) -> Structs:
    fields = [(name, changes.get(name, kind)) for name, kind in _fields(Ep)]
    return {"tw_ep": type("Ep", (ctypes.Structure,), {"_fields_": fields})}


class WrongKind(IntEnum):
    """enum tw_ep_kind with two constants swapped."""

    POD = 2
    NODE = 1


class StrangeKind(IntEnum):
    """A constant that C does not have."""

    PLANET = 1


@pytest.mark.parametrize(
    ("structs", "enums"),
    [
        pytest.param(_doctored(ifindex=ctypes.c_uint16), {}, id="a field too small"),
        pytest.param(_doctored(mac=ctypes.c_uint8 * 5, host_mac=ctypes.c_uint8 * 7), {}, id="a field moved"),
        pytest.param(_doctored(policy=ctypes.c_uint32), {}, id="a struct too small"),
        pytest.param({"tw_ep": STRUCTS["tw_fe"]}, {}, id="other names"),
        pytest.param({"tw_planet": Ep}, {}, id="no such struct"),
        pytest.param({}, {"TW_EP_": WrongKind}, id="other values"),
        pytest.param({}, {"TW_EP_": StrangeKind}, id="no such constant"),
    ],
)
def test_untrue_mirror_is_refused(structs: Structs, enums: Enums) -> None:
    """A wrong mirror does not compile."""
    assert refusals(structs, enums) != []


def test_implicit_padding_is_refused() -> None:
    """A struct with implicit padding does not compile."""
    holey = 'struct tw_hole { __u8 a; __u32 b; };\n_Static_assert(sizeof(struct tw_hole) == 8, "hole");\n'
    assert any("padding struct 'struct tw_hole'" in line for line in compiled(holey))
