"""The manifest source on real files: every way in which they change ends in the right snapshot."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.unit.documents import NAMESPACE, POD, Document, having
from tests.unit.sources.manifests.test_load import named, names, write
from twinway.errors import ManifestError
from twinway.model.cluster import Cluster
from twinway.sources.base import Latest
from twinway.sources.manifests import source as manifests
from twinway.sources.manifests import watch
from twinway.sources.manifests.source import ManifestSource, load, version_of

PATIENCE = 30.0


class Slot(Latest[Cluster]):
    """A slot that remembers all that was ever put."""

    def __init__(self) -> None:
        super().__init__()
        self.put_so_far: list[Cluster] = []

    def put(self, value: Cluster) -> None:
        """Put and remember."""
        self.put_so_far.append(value)
        super().put(value)

    def until_there_are(self, *services: str) -> Cluster:
        """The first snapshot from now on that has exactly these Services."""
        while (cluster := self.get(PATIENCE)) is not None:
            if names(cluster) == sorted(services):
                return cluster
        raise AssertionError(
            f"no snapshot with {services}; there were {[names(each) for each in self.put_so_far]}"
        )


@pytest.fixture
def slot() -> Slot:
    """Where the source puts its snapshots."""
    return Slot()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one Service, `a`."""
    write(tmp_path / "manifests" / "a.yaml", named("a"))
    return tmp_path / "manifests"


@pytest.fixture
def source(folder: Path, slot: Slot) -> Iterator[ManifestSource]:
    """A source that follows the folder, and has put `a`."""
    source = ManifestSource([folder])
    source.start(slot)
    slot.until_there_are("a")
    yield source
    source.stop()


def replace(path: Path, *documents: Document) -> None:
    """Change a file as careful programs do: all at once."""
    write(path.with_name(f".{path.name}.new"), *documents).rename(path)


def test_the_first_snapshot_is_there_when_start_returns(folder: Path, slot: Slot) -> None:
    """It is complete, and the source is in sync."""
    source = ManifestSource([folder])
    source.start(slot)
    cluster = slot.get(0)
    source.stop()
    assert cluster is not None
    assert names(cluster) == ["a"]
    assert (cluster.complete, source.error, cluster.version) == (True, None, version_of([folder]))


@pytest.mark.usefixtures("source")
def test_files_come_change_and_go(folder: Path, slot: Slot) -> None:
    """By rename, by writing in place, by deletion; each snapshot has the version of what is there."""
    replace(folder / "b.yaml", named("b"))
    slot.until_there_are("a", "b")
    write(folder / "b.yaml", named("c"))
    slot.until_there_are("a", "c")
    (folder / "a.yaml").unlink()
    slot.until_there_are("c")
    (folder / "b.yaml").rename(folder / "b.txt")
    slot.until_there_are()
    (folder / "b.txt").rename(folder / "d.yaml")
    assert slot.until_there_are("c").version == version_of([folder])


@pytest.mark.usefixtures("source")
def test_folders_come_and_go(folder: Path, slot: Slot, tmp_path: Path) -> None:
    """Made in place with files in them at once, moved in and out, removed; files in them are followed."""
    write(folder / "x" / "y" / "b.yaml", named("b"))
    slot.until_there_are("a", "b")
    replace(folder / "x" / "y" / "b.yaml", named("c"))
    slot.until_there_are("a", "c")
    (folder / "x").rename(tmp_path / "away")
    slot.until_there_are("a")
    write(tmp_path / "away" / "y" / "b.yaml", named("d"))
    (tmp_path / "away").rename(folder / "z")
    slot.until_there_are("a", "d")
    (folder / "z" / "y" / "b.yaml").unlink()
    slot.until_there_are("a")


def test_a_mounted_config_map(tmp_path: Path, slot: Slot) -> None:
    """Its files are links into a hidden folder, which is exchanged by the rename of a link."""
    mount = tmp_path / "mount"
    write(mount / "..1" / "a.yaml", named("a"))
    write(mount / "..2" / "a.yaml", named("b"))
    (mount / "..data").symlink_to("..1")
    (mount / "a.yaml").symlink_to("..data/a.yaml")
    source = ManifestSource([mount])
    source.start(slot)
    slot.until_there_are("a")
    (mount / "..data_tmp").symlink_to("..2")
    (mount / "..data_tmp").rename(mount / "..data")
    slot.until_there_are("b")
    source.stop()


def test_a_single_file_is_followed(tmp_path: Path, slot: Slot) -> None:
    """Through its replacement and its absence."""
    path = write(tmp_path / "only.manifest", named("a"))
    source = ManifestSource([path])
    source.start(slot)
    slot.until_there_are("a")
    replace(path, named("b"))
    slot.until_there_are("b")
    path.unlink()
    replace(path, named("c"))
    slot.until_there_are("c")
    source.stop()


def test_paths_may_come_into_being_later(tmp_path: Path, slot: Slot) -> None:
    """Until then the source says what it lacks, and puts nothing: nothing may be deleted."""
    source = ManifestSource([tmp_path / "not" / "yet"])
    source.start(slot)
    assert slot.put_so_far == []
    assert source.error is not None
    assert source.error.endswith("/not/yet: no such file or folder")
    write(tmp_path / "not" / "yet" / "a.yaml", named("a"))
    slot.until_there_are("a")
    source.stop()
    assert source.error is None


class Warned(logging.Handler):
    """Wakes whoever waits for a warning."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.event = Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Note that there was one."""
        self.event.set()


@pytest.fixture
def warned() -> Iterator[Warned]:
    """What the source warns of."""
    handler = Warned()
    logger = logging.getLogger("twinway.sources.manifests.source")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_broken_file_leaves_the_last_good_snapshot(
    folder: Path, slot: Slot, source: ManifestSource, warned: Warned
) -> None:
    """The source says why, and goes on as soon as the file is mended."""
    broken = folder / "b.new"  # renamed at once: a slow writer's empty file would be a good one
    broken.write_text("a: b: c")
    broken.rename(folder / "b.yaml")
    assert warned.event.wait(PATIENCE)
    assert source.error is not None
    assert source.error.endswith("/b.yaml:1: mapping values are not allowed in this context")
    assert [names(each) for each in slot.put_so_far] == [["a"]]
    replace(folder / "b.yaml", named("b"))
    slot.until_there_are("a", "b")
    assert source.error is None


def test_a_broken_file_stops_no_other(folder: Path, slot: Slot, source: ManifestSource) -> None:
    """Its own objects stay as they were; the others come, change and go."""
    replace(folder / "b.yaml", named("b"))
    slot.until_there_are("a", "b")
    (folder / "b.new").write_text("a: b: c")
    (folder / "b.new").rename(folder / "b.yaml")
    replace(folder / "c.yaml", named("c"))
    slot.until_there_are("a", "b", "c")
    (folder / "a.yaml").unlink()
    last = slot.until_there_are("b", "c")
    assert source.error is not None
    with pytest.raises(ManifestError, match=r"b\.yaml"):
        load([folder])
    assert last.version != version_of([folder])


def test_before_the_first_snapshot_every_file_must_be_readable(folder: Path, slot: Slot) -> None:
    """What the broken one's objects are in the kernel nobody knows: nothing may be removed."""
    (folder / "b.yaml").write_text("a: b: c")
    source = ManifestSource([folder])
    source.start(slot)
    assert slot.get(0) is None
    replace(folder / "b.yaml", named("b"))
    slot.until_there_are("a", "b")
    source.stop()


@pytest.mark.parametrize("how", ["file by file", "whole"])
def test_an_emptied_folder_is_held_then_obeyed(folder: Path, slot: Slot, how: str) -> None:
    """The source says so at once, and rings."""
    rings: list[str | None] = []
    source = ManifestSource([folder], hold_seconds=1.0)
    slot = Slot()
    slot._ring = lambda: rings.append(source.error)
    for number in range(50):
        write(folder / f"{number}.yaml", named(f"s{number}"))
    source.start(slot)
    assert source.error is None
    began = time.monotonic()
    if how == "whole":
        folder.rename(folder.with_name("away"))
        folder.mkdir()
    else:
        for path in sorted(folder.iterdir()):
            path.unlink()
    slot.until_there_are()
    source.stop()
    assert time.monotonic() - began >= 1.0
    assert {len(names(each)) for each in slot.put_so_far} == {51, 0}
    said = [each for each in rings if each]
    assert said
    assert "no object is left, all of them are held for 1 s" in said[0]
    assert source.error is None


def test_a_first_snapshot_without_objects_is_believed_after_a_moment(tmp_path: Path, slot: Slot) -> None:
    """An agent that starts before its folder is filled would remove what serves."""
    source = ManifestSource([tmp_path], hold_seconds=0.2)
    began = time.monotonic()
    source.start(slot)
    assert slot.put_so_far == []
    assert source.error is not None
    assert source.error.endswith("there is no object, which is believed after 0.2 s")
    slot.until_there_are()
    assert time.monotonic() - began >= 0.2
    source.stop()
    assert source.error is None


def test_a_file_that_stays_open_stops_no_other(folder: Path, slot: Slot) -> None:
    """It is read when it is closed; its objects stay as they were until then."""
    source = ManifestSource([folder], hold_seconds=PATIENCE)
    source.start(slot)
    slot.until_there_are("a")
    with (folder / "a.yaml").open("w") as file:
        file.write(json.dumps(named("b")) + "\n---\n")
        file.flush()
        replace(folder / "c.yaml", named("c"))
        slot.until_there_are("a", "c")
        file.write(json.dumps(named("d")))
    slot.until_there_are("b", "c", "d")
    source.stop()


def test_what_cannot_be_read_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, folder: Path, slot: Slot, tmp_path: Path
) -> None:
    """A link into a folder that is not watched: no event tells that what it leads to is there."""
    monkeypatch.setattr(manifests, "RETRY_SECONDS", 0.01)
    (folder / "b.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    source = ManifestSource([folder])
    source.start(slot)
    assert source.error is not None
    write(tmp_path / "elsewhere.yaml", named("b"))
    slot.until_there_are("a", "b")
    source.stop()


def test_half_a_file_is_not_taken_for_all(
    monkeypatch: pytest.MonkeyPatch, folder: Path, slot: Slot, source: ManifestSource
) -> None:
    """A file that somebody is writing is read when it is closed, even if other files change meanwhile."""
    assert source.error is None
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", PATIENCE)
    with (folder / "b.yaml").open("w") as file:
        file.write(json.dumps(named("b")))
        file.flush()
        replace(folder / "c.yaml", named("c"))
        file.write("\n---\n" + json.dumps(named("d")))
    slot.until_there_are("a", "b", "c", "d")
    assert all("d" in names(each) for each in slot.put_so_far if "b" in names(each))


def test_what_did_not_change_is_the_same_object(folder: Path, slot: Slot, source: ManifestSource) -> None:
    """Objects in other files, objects beside a changed one, and whole kinds: compute relies on it."""
    assert source.error is None
    replace(folder / "b.yaml", named("b"), named("c"), NAMESPACE, POD)
    before = slot.until_there_are("a", "b", "c")
    replace(folder / "b.yaml", having(named("b"), "spec.clusterIP", "10.96.0.7"), named("c"), NAMESPACE, POD)
    after = slot.get(PATIENCE)
    assert after is not None
    same = {ref.name: after.services[ref] is before.services[ref] for ref in after.services}
    assert same == {"a": True, "b": False, "c": True}
    assert after.namespaces is before.namespaces
    assert after.pods is before.pods
    assert {ref.name.partition(":")[0] for ref in after.slices} == {"a", "b", "c"}
    assert after.slices is before.slices


def test_equal_content_is_put_once(folder: Path, slot: Slot, source: ManifestSource) -> None:
    """A file that is written again with what it says makes no new snapshot."""
    assert source.error is None
    replace(folder / "a.yaml", named("a"))
    replace(folder / "b.yaml", named("b"))
    slot.until_there_are("a", "b")
    versions = [each.version for each in slot.put_so_far]
    assert len(versions) == len(set(versions))


def open_files() -> set[str]:
    """The numbers of this process's open files."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_stop_ends_all(folder: Path, slot: Slot) -> None:
    """No file descriptor is left, and stopping twice, or without a start, does no harm."""
    before = open_files()
    source = ManifestSource([folder])
    source.stop()
    source.start(slot)
    source.stop()
    source.stop()
    assert open_files() == before
