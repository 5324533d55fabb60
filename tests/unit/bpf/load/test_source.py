"""Flattening of sources: each line is there once, and is placed where it came from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from twinway_bpf.load import programs
from twinway_bpf.load.source import KERNEL, flatten


def lines(text: str) -> list[tuple[str, int, str]]:
    """The file, number and text of each line of a flattened source, as the compiler sees them."""
    name, number, out = "", 0, []
    for line in text.splitlines():
        mark = re.fullmatch(r'#line (\d+) "(.+)"', line)
        if mark:
            number, name = int(mark[1]), mark[2]
        else:
            out.append((name, number, line))
            number += 1
    return out


@pytest.mark.parametrize("source", programs.SOURCES)
def test_every_line_is_where_its_mark_says(source: str) -> None:
    """Each line is in the file, and at the number, that its `#line` directive says."""
    placed = lines(flatten(source))
    files = {name: (KERNEL / name).read_text().splitlines() for name, _, _ in placed}
    assert all(files[name][number - 1] == line for name, number, line in placed)


@pytest.mark.parametrize("source", programs.SOURCES)
def test_every_line_is_there_once(source: str) -> None:
    """Every line of every file is there exactly once, except the includes."""
    placed = [(name, number) for name, number, _ in lines(flatten(source))]
    assert len(placed) == len(set(placed))
    for name in {name for name, _ in placed}:
        wanted = [
            number
            for number, line in enumerate((KERNEL / name).read_text().splitlines(), 1)
            if not line.startswith('#include "')
        ]
        assert [number for found, number in placed if found == name] == wanted


def test_include_stands_before_what_needs_it(tmp_path: Path) -> None:
    """A header is inlined where it is first included, also when headers include each other."""
    (tmp_path / "a.c").write_text('#include "b.h"\nint a;\n#include "c.h"\n')
    (tmp_path / "b.h").write_text('#include "c.h"\nint b;\n')
    (tmp_path / "c.h").write_text('#  include "b.h"\n#include <linux/types.h>\nint c;\n')
    code = [line for _, _, line in lines(flatten("a.c", tmp_path))]
    assert code == ["#include <linux/types.h>", "int c;", "int b;", "int a;"]


def test_missing_include_is_an_error(tmp_path: Path) -> None:
    """The error for a missing header names it."""
    (tmp_path / "a.c").write_text('#include "gone.h"\n')
    with pytest.raises(FileNotFoundError, match=r"gone\.h"):
        flatten("a.c", tmp_path)
