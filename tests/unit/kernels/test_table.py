"""The table of kernels, and the reading of apt's configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from twinway_testing.machines.table import TABLE, HarnessError, Mirror, chosen, kernels, system_mirror

MIRROR = "http://mirror.example/debian"
DEB822 = f"""\
# a comment: with a colon
Types: deb
URIs: {MIRROR}-security
Suites: oldname-security
Components: main

Types: deb deb-src
URIs: {MIRROR}
Suites: oldname oldname-updates
Components: main
Signed-By: /usr/share/keyrings/example.gpg
"""


def etc(top: Path, **files: str) -> Path:
    """An /etc of a release called oldname, with these apt sources."""
    (top / "apt/sources.list.d").mkdir(parents=True)
    (top / "os-release").write_text('ID=debian\nVERSION_CODENAME="oldname"\n')
    for name, text in files.items():
        (top / "apt" / name).write_text(text)
    return top


def test_mirror_from_deb822(tmp_path: Path):
    """The stanza that serves the release itself is taken, its key with it."""
    top = etc(tmp_path)
    (top / "apt/sources.list.d/debian.sources").write_text(DEB822)
    assert system_mirror(top) == Mirror(MIRROR, "/usr/share/keyrings/example.gpg")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (f"deb {MIRROR} oldname main contrib", ""),
        (f"deb [arch=amd64 signed-by=/k.gpg] {MIRROR} oldname main", "/k.gpg"),
    ],
)
def test_mirror_from_one_line(tmp_path: Path, line: str, key: str):
    """Old style sources are read, with and without options; other releases and comments are passed over."""
    text = f"# deb {MIRROR}-wrong oldname main\ndeb {MIRROR}-other newname main\n{line}\n"
    top = etc(tmp_path, **{"sources.list": text})
    assert system_mirror(top) == Mirror(MIRROR, key)


def test_no_mirror_is_said(tmp_path: Path):
    """A system whose release has no source gets one line that names it."""
    with pytest.raises(HarnessError, match="no apt source for oldname"):
        system_mirror(etc(tmp_path))


def test_source_names_the_key():
    """The source for another suite keeps the mirror's key, and has no option without one."""
    assert Mirror(MIRROR, "/k.gpg").source("sid") == f"deb [signed-by=/k.gpg] {MIRROR} sid main\n"
    assert Mirror(MIRROR, "").source("sid") == f"deb {MIRROR} sid main\n"


def test_words_choose():
    """Words choose in the table's order, none choose all, an unknown one lists what there is."""
    assert chosen("6.12, 5.10", ["5.10", "6.1", "6.12"], "KERNELS") == ("5.10", "6.12")
    assert chosen("", ["a", "b"], "DRIVERS") == ("a", "b")
    with pytest.raises(HarnessError, match=r"KERNELS=4.4: there is none of that name; there are 5.10, 6.12"):
        chosen("4.4", ["5.10", "6.12"], "KERNELS")


def test_patterns_take_plain_kernels_alone():
    """Each row's pattern takes its own kernel and no cloud, realtime, debug or signed flavour."""
    names = [
        "linux-image-5.10.0-32-amd64-unsigned",
        "linux-image-6.12.95+deb12-amd64-unsigned",
        "linux-image-6.12.90+deb12.1-amd64-unsigned",
    ]
    flavours = [n.replace("-amd64", f"-{f}-amd64") for n in names for f in ("cloud", "rt")]
    flavours += [n.replace("-unsigned", tail) for n in names for tail in ("", "-dbg")]
    taken = {
        row.name: [n for n in names + flavours if re.fullmatch(row.package, n)]
        for row in kernels(TABLE.read_text())
    }
    assert taken == {"5.10": names[:1], "6.12": names[1:]}
