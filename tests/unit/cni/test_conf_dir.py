"""Our file among a node's network configs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from twinway.cni.chain import OURS
from twinway.cni.conf_dir import ConfDir, ConfDirFollower
from twinway.errors import ConfigError


def config(name: str) -> str:
    return json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "ptp"}]})


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def name_in_force(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / OURS).read_text())["name"])
    except FileNotFoundError:
        return None


def test_a_second_put_writes_nothing(tmp_path: Path) -> None:
    """An equal file is left alone, its time included."""
    (tmp_path / "10-a.conflist").write_text(config("a"))
    assert ConfDir(tmp_path).put().changed
    before = (tmp_path / OURS).stat()
    assert not ConfDir(tmp_path).put().changed
    assert (tmp_path / OURS).stat() == before


def test_a_file_that_cannot_be_read_leaves_ours(tmp_path: Path) -> None:
    """Half a file of a plugin that writes in place does not take twinway out of the chain."""
    other = tmp_path / "10-a.conflist"
    other.write_text(config("a"))
    ConfDir(tmp_path).put()
    other.write_text(config("b")[:20])
    with pytest.raises(ConfigError, match="no JSON"):
        ConfDir(tmp_path).put()
    assert name_in_force(tmp_path) == "a"


def test_ours_goes_with_the_one_before_it(tmp_path: Path) -> None:
    """A plugin that takes its config away wants no pods: neither do we."""
    (tmp_path / "10-a.conflist").write_text(config("a"))
    ConfDir(tmp_path).put()
    (tmp_path / "10-a.conflist").unlink()
    assert ConfDir(tmp_path).put().behind is None
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    """One line, with the folder."""
    with pytest.raises(ConfigError, match=r"/away: No such file or directory: make it writable or choose another"):
        ConfDir(tmp_path / "away").put()


def test_follows_what_the_plugin_before_writes(tmp_path: Path) -> None:
    """A config that comes, is rewritten in place and by rename, goes and comes again; ours is put back, too."""
    folder = tmp_path / "net.d"
    folder.mkdir()
    other = folder / "10-a.conflist"
    follower = ConfDirFollower(folder)
    follower.start()
    try:
        assert name_in_force(folder) is None
        other.write_text(config("first"))
        eventually(lambda: name_in_force(folder) == "first")
        other.write_text(config("second"))
        eventually(lambda: name_in_force(folder) == "second")
        (folder / ".new").write_text(config("third"))
        (folder / ".new").rename(other)
        eventually(lambda: name_in_force(folder) == "third")
        (folder / OURS).unlink()
        eventually(lambda: name_in_force(folder) == "third")
        other.unlink()
        eventually(lambda: name_in_force(folder) is None)
        other.write_text(config("fourth"))
        eventually(lambda: name_in_force(folder) == "fourth")
    finally:
        follower.close()
    assert name_in_force(folder) == "fourth"


def test_a_reader_never_sees_half_of_it(tmp_path: Path) -> None:
    """While the plugin before us rewrites its file again and again, ours is there and whole."""
    other = tmp_path / "10-a.conflist"
    other.write_text(config("0"))
    follower = ConfDirFollower(tmp_path)
    follower.start()
    try:
        for number in range(300):
            other.write_text(config(str(number)))
            found = json.loads((tmp_path / OURS).read_text())
            assert [plugin["type"] for plugin in found["plugins"]] == ["ptp", "twinway"]
        eventually(lambda: name_in_force(tmp_path) == "299")
    finally:
        follower.close()
