"""The table of kernels, and the Debian mirror that this system is configured with."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
TABLE = Path(__file__).with_name("kernels.toml")


class HarnessError(Exception):
    """The harness failed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One row of kernels.toml."""

    name: str
    suite: str
    package: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """A source of packages, and the key that signs them (empty: all keys that the system trusts)."""

    address: str
    key: str

    def source(self, suite: str) -> str:
        """The one-line apt source of a suite on this mirror."""
        option = f"[signed-by={self.key}] " if self.key else ""
        return f"deb {option}{self.address} {suite} main\n"


def kernels(text: str) -> tuple[Kernel, ...]:
    """The rows of the table, in order."""
    rows = tomllib.loads(text)["kernel"]
    return tuple(Kernel(name=row["name"], suite=row["suite"], package=row["package"]) for row in rows)


def chosen(names: str, known: Iterable[str], what: str) -> tuple[str, ...]:
    """The names in `known` that are among the words of `names`, in the order of `known`. No words mean all."""
    words = names.replace(",", " ").split()
    everything = tuple(known)
    for word in words:
        if word not in everything:
            raise HarnessError(f"{what}={word}: there is none of that name; there are {', '.join(everything)}")
    return tuple(name for name in everything if not words or name in words)


def system_mirror(etc: Path = Path("/etc")) -> Mirror:
    """The mirror of this system's own release, from apt's configuration."""
    codename = _codename(etc)
    files = [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text()
        entries = _deb822(text) if file.suffix == ".sources" else _one_line(text)
        for suites, mirror in entries:
            if codename in suites:
                return mirror
    raise HarnessError(f"no apt source for {codename} below {etc}/apt: other suites' kernels come from its mirror")


def _codename(etc: Path) -> str:
    found = re.search(r'^VERSION_CODENAME="?([\w-]+)', (etc / "os-release").read_text(), re.MULTILINE)
    if not found:
        raise HarnessError(f"{etc}/os-release names no VERSION_CODENAME: this needs a Debian release")
    return found[1]


def _deb822(text: str) -> Iterator[tuple[list[str], Mirror]]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = (line for line in stanza.splitlines() if not line.startswith("#"))
        fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if "deb" in fields.get("types", "").split() and fields.get("uris"):
            yield fields.get("suites", "").split(), Mirror(fields["uris"].split()[0], fields.get("signed-by", ""))


def _one_line(text: str) -> Iterator[tuple[list[str], Mirror]]:
    for options, address, suite in re.findall(r"^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)", text, re.MULTILINE):
        key = re.search(r"signed-by=(\S+)", options)
        yield [suite], Mirror(address, key[1] if key else "")


def cache() -> Path:
    """The folder of kernels that are kept between runs: below $TWINWAY_CACHE, or the user's cache."""
    root = os.environ.get("TWINWAY_CACHE")
    return (Path(root) if root else Path.home() / ".cache/twinway") / "kernels"
