"""Words that docs/glossary.md retires are found nowhere else in the tree."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GLOSSARY = "docs/glossary.md"
SUFFIXES = (".py", ".c", ".h", ".md", ".toml")
EXEMPT = (GLOSSARY, "CHANGELOG.md", "docs/adr/", "tests/unit/docs/test_glossary_page.py")
"""Files that may have retired words. Records of decisions are never edited."""
_NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_BEFORE = re.compile(r"^(?:# )?Before:.*?(?=^(?:# )?After:)", re.MULTILINE | re.DOTALL)


def retired() -> dict[str, str]:
    """The retired words of the glossary, each with how it is retired: as a `word`, or only as a `name` in code."""
    table = (ROOT / GLOSSARY).read_text().partition("## Retired words")[2]
    rows = re.findall(r"^\| (`.*?`) \| .* \| (word|name) \|$", table, re.MULTILINE)
    return {word: kind for words, kind in rows for word in re.findall(r"`([^`]+)`", words)}


def tracked() -> Iterator[str]:
    """The tracked files to which the rule applies."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return (name for name in listed.stdout.splitlines() if name.endswith(SUFFIXES) and not name.startswith(EXEMPT))


def names_in(path: str, text: str) -> str:
    """The text with only its names in code; every other character, except line ends, is a space."""
    if path.endswith(".py"):
        lines = [[" "] * len(line) for line in text.splitlines()]
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                row, start = token.start
                lines[row - 1][start : token.end[1]] = token.string
        return "\n".join(map("".join, lines))
    if path.endswith((".c", ".h")):
        return _NOT_CODE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return ""


def prose_of(path: str, text: str) -> str:
    """The text, without the examples of how not to write in CONTRIBUTING.md."""
    if path != "CONTRIBUTING.md":
        return text
    return _BEFORE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def uses(words: dict[str, str]) -> Iterator[str]:
    """`FILE:LINE: WORD` for each use of a retired word."""
    patterns = {
        kind: re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in words if words[word] == kind)})\b")
        for kind in ("word", "name")
    }
    for path in tracked():
        text = (ROOT / path).read_text()
        for kind, view in (("word", prose_of), ("name", names_in)):
            if not patterns[kind].search(text):
                continue
            for number, line in enumerate(view(path, text).splitlines(), 1):
                yield from (f"{path}:{number}: {word}" for word in patterns[kind].findall(line))


def test_retired_words_are_not_used() -> None:
    """No tracked source or page uses a retired word; the failure lists each use."""
    found = list(uses(retired()))
    assert not found, "\n".join([f"{len(found)} uses of retired words:", *found])


def test_table_is_read() -> None:
    """Every row of the table says how its words are retired."""
    table = (ROOT / GLOSSARY).read_text().partition("## Retired words")[2]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) == len(re.findall(r"^\| `.*` \| .* \| (?:word|name) \|$", table, re.MULTILINE))
    assert {"told": "word", "turn": "name"}.items() <= retired().items()


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("a.py", '"""in turn"""\nturn = 1  # turn\n', ["", "turn"]),
        ("a.c", '/* in\n turn */ int turn; // turn\n"turn"', ["", "turn", ""]),
        ("a.md", "`turn` in turn", []),
    ],
)
def test_names_differ_from_prose(path: str, text: str, names: list[str]) -> None:
    """A name is a name in code, not in a comment, a string or a page."""
    assert [" ".join(re.findall("turn", line)) for line in names_in(path, text).splitlines()] == names
