"""The registry of attachments: what survives a restart, and which of two ADDs counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.states import attachment
from twinway.attachments import Attachments


class Rings:
    """Counts how often the registry said that it changed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture
def registry(tmp_path: Path, rings: Rings) -> Attachments:
    return Attachments(tmp_path / "attachments", rings)


def test_added_and_forgotten(registry: Attachments, rings: Rings) -> None:
    """What is added is there until it is forgotten; each change rings once."""
    web = attachment("web")
    registry.add(web)
    assert registry.current() == (web,)
    assert registry.get("c1", "eth0") == web
    assert registry.forget("c1", "eth0")
    assert not registry.forget("c1", "eth0")
    assert registry.current() == ()
    assert rings.count == 2


def test_restart_knows_everything(registry: Attachments, tmp_path: Path) -> None:
    """A registry made again from the same folder holds the same, byte for byte."""
    added = (attachment("db", "c2", "fd00::5"), attachment("web"))
    for item in added:
        registry.add(item)
    assert Attachments(tmp_path / "attachments", lambda: None).current() == added


def test_later_add_counts(registry: Attachments, tmp_path: Path) -> None:
    """Of two sandboxes of one pod the later ADD counts, also after a restart."""
    registry.add(attachment("web", "z-old"))
    newer = attachment("web", "a-new", "10.1.0.6")
    registry.add(newer)
    assert registry.current() == (newer,)
    assert Attachments(tmp_path / "attachments", lambda: None).current() == (newer,)


def test_late_del_of_the_old_sandbox_harms_nothing(registry: Attachments) -> None:
    """The DEL of a replaced sandbox leaves the new one attached."""
    registry.add(attachment("web", "old"))
    newer = attachment("web", "new")
    registry.add(newer)
    registry.forget("old", "eth0")
    assert registry.current() == (newer,)


def test_keep_only_what_the_runtime_knows(registry: Attachments) -> None:
    """GC drops what is not listed, and nothing else."""
    registry.add(attachment("web", "c1"))
    kept = attachment("db", "c2")
    registry.add(kept)
    registry.keep_only([("c2", "eth0"), ("c9", "eth0")])
    assert registry.current() == (kept,)


def test_forget_a_whole_container(registry: Attachments) -> None:
    """A note names a container: all of its interfaces go."""
    registry.add(attachment("web", "c1"))
    assert registry.forget_container("c1")
    assert registry.current() == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"order": 1}', '{"order": "x", "addresses": ["no"]}'])
def test_broken_file_harms_only_itself(
    registry: Attachments, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that cannot be used is reported and removed; the others count."""
    web = attachment("web")
    registry.add(web)
    broken = tmp_path / "attachments" / "bad.eth0.json"
    broken.write_text(content)
    assert Attachments(tmp_path / "attachments", lambda: None).current() == (web,)
    assert not broken.exists()
    assert str(broken) in caplog.text


def test_files_are_private(registry: Attachments, tmp_path: Path) -> None:
    """Nobody but the agent's user may read what is recorded."""
    registry.add(attachment("web"))
    (path,) = (tmp_path / "attachments").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
