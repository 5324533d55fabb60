"""Laws of snapshots: what is kept from one to the next changes nothing of what they say."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import POD, SERVICE, SLICE, Document, having
from twinway.sources.manifests.listing import listing
from twinway.sources.manifests.snapshots import Snapshots
from twinway.sources.manifests.source import load

Files = Mapping[str, list[Document]]


@st.composite
def objects(draw: st.DrawFn) -> Document:
    """One of few objects, so that names meet often: in one file, in two, and from step to step."""
    name = draw(st.sampled_from(["a", "b"]))
    match draw(st.sampled_from(["service", "slice", "pod", "bad"])):
        case "service":
            selector = draw(st.sampled_from([None, {"app": "x"}, {"app": "x", "tier": "y"}]))
            port = {"port": draw(st.integers(80, 81)), "targetPort": draw(st.sampled_from([8080, "http"]))}
            spec = {"clusterIP": "10.96.0.1", "selector": selector, "ports": [port]}
            return having(having(SERVICE, "metadata.name", name), "spec", spec)
        case "slice":
            return having(SLICE, "metadata.labels", {"kubernetes.io/service-name": name})
        case "pod":
            labels = draw(st.sampled_from([{}, {"app": "x"}, {"app": "x", "tier": "y"}]))
            pod = having(having(POD, "metadata.name", name), "metadata.labels", labels)
            return having(pod, "status.podIP", draw(st.sampled_from(["10.0.0.1", "10.0.0.2"])))
        case _:
            return having(SERVICE, "spec.ports.0.port", 0)


folders = st.dictionaries(st.sampled_from(["1.json", "2.json", "3.json"]), st.lists(objects(), max_size=3))


def write(folder: Path, files: Files) -> list[Path]:
    """Make the folder hold exactly these files; the paths of those that changed."""
    for path in folder.iterdir():
        if path.name not in files:
            path.unlink()
    changed = []
    for name, documents in files.items():
        path = folder / name
        content = json.dumps({"kind": "List", "items": documents})
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
            changed.append(path)
    return changed


@settings(max_examples=300, deadline=None)
@given(st.lists(folders, min_size=1, max_size=6))
def test_a_snapshot_depends_on_what_there_is_alone(steps: list[Files]) -> None:
    """However the files came to be as they are, the snapshot equals one from scratch."""
    snapshots = Snapshots()
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        for files in steps:
            write(folder, files)
            assert snapshots.of(listing([folder])) == load([folder])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.lists(objects(), max_size=3) for name in ("1.json", "2.json")})))
def test_reading_only_what_changed_says_the_same(steps: list[Files]) -> None:
    """As long as the same files are there."""
    snapshots = Snapshots()
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        for number, files in enumerate(steps):
            changed = write(folder, files)
            newest = snapshots.again(changed) if number else snapshots.of(listing([folder]))
            assert newest == load([folder])


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, list[Document] | None]]:
    """What the readable files say at each step; None: the file is there and cannot be read."""
    names = ("1.json", "2.json")
    file: st.SearchStrategy[list[Document] | None] = st.none() | st.lists(objects(), min_size=1, max_size=3)
    return draw(st.lists(st.dictionaries(st.sampled_from(names), file), min_size=1, max_size=6))


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_file_that_cannot_be_read_says_what_it_last_said(steps: list[dict[str, list[Document] | None]]) -> None:
    """The snapshot is that of the others and of its last good content, less what the others have of it."""
    snapshots = Snapshots()
    said: dict[str, list[Document]] = {}
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        for files in steps:
            said = {name: whole if (whole := files[name]) is not None else said.get(name, []) for name in files}
            write(folder, said)
            before = load([folder])
            bad = [folder / name for name in files if files[name] is None]
            for path in bad:
                path.write_text("{")
            newest = snapshots.of(listing([folder]))
            assert len(snapshots.faults) == len(bad)
            if not bad:
                assert newest == before
            have = {ref for field in ("services", "pods") for ref in getattr(newest, field)}
            assert have == {ref for field in ("services", "pods") for ref in getattr(before, field)}


@settings(max_examples=200, deadline=None)
@given(folders)
def test_what_did_not_change_stays_the_same_object(files: Files) -> None:
    """Derived slices, too; a kind of which nothing changed is the same mapping."""
    snapshots = Snapshots()
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        write(folder, files)
        old = snapshots.of(listing([folder]))
        write(folder, {**files, "9.json": [having(SERVICE, "metadata.name", "other")]})
        new = snapshots.of(listing([folder]))
    assert new.pods is old.pods
    assert all(new.services[ref] is each for ref, each in old.services.items())
    assert all(new.slices[ref] is each for ref, each in old.slices.items())


def test_a_quick_change_of_equal_size_is_seen(tmp_path: Path) -> None:
    """A file may change twice between two ticks of the clock its time stamp is taken from."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(having(SERVICE, "spec.clusterIP", "10.96.0.1")))
    times = path.stat().st_mtime_ns
    snapshots = Snapshots()
    old = snapshots.of(listing([path]))
    with path.open("r+") as file:
        file.write(json.dumps(having(SERVICE, "spec.clusterIP", "10.96.0.2")))
    os.utime(path, ns=(times, times))
    assert snapshots.of(listing([path])).version != old.version


class Clock:
    """Seconds as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Held:
    """A folder, and snapshots of it that hold what says nothing any more for ten seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.snapshots = Snapshots(10.0, self.clock)

    def put(self, name: str, *documents: Document) -> None:
        """The file holds these objects."""
        (self.folder / name).write_text(json.dumps({"kind": "List", "items": documents}))

    def services(self, unsettled: tuple[str, ...] = ()) -> list[str]:
        """The Services of a snapshot, with the first port of each."""
        found = self.snapshots.of(listing([self.folder]), [self.folder / name for name in unsettled])
        return sorted(f"{ref.name}:{each.ports[0].port}" for ref, each in found.services.items())


def service(name: str, port: int = 80) -> Document:
    """A Service with this port."""
    return having(having(SERVICE, "metadata.name", name), "spec.ports.0.port", port)


@pytest.fixture
def held(tmp_path: Path) -> Held:
    """Two files with a Service each."""
    made = Held(tmp_path)
    made.put("1.json", service("a"))
    made.put("2.json", service("b"))
    assert made.services() == ["a:80", "b:80"]
    return made


def test_an_emptied_folder_is_held_and_then_obeyed(held: Held) -> None:
    """With words that do not change meanwhile, and a time at which to look again."""
    for name in ("1.json", "2.json"):
        (held.folder / name).unlink()
    assert held.services() == ["a:80", "b:80"]
    first = held.snapshots.faults
    assert "no object is left, all of them are held for 10 s, until" in first[0]
    held.clock.now = 9.0
    assert (held.services(), held.snapshots.faults) == (["a:80", "b:80"], first)
    assert held.snapshots.due_seconds == 1.0
    held.clock.now = 10.0
    assert not held.services()
    assert not held.snapshots.faults
    assert held.snapshots.due_seconds is None


def test_a_folder_that_is_filled_again_was_never_empty(held: Held) -> None:
    """What is not there any more then is gone at once; and the next time the moment starts over."""
    for _ in range(2):
        for path in held.folder.iterdir():
            path.unlink()
        assert held.services() == ["a:80", "b:80"]
        held.clock.now += 9.0
        held.put("1.json", service("a"))
        assert (held.services(), held.snapshots.faults) == (["a:80"], ())
        held.put("2.json", service("b"))
        assert held.services() == ["a:80", "b:80"]


def test_files_that_go_beside_others_are_gone(held: Held) -> None:
    """That is how objects are deleted."""
    (held.folder / "1.json").unlink()
    assert (held.services(), held.snapshots.faults) == (["b:80"], ())


@pytest.mark.parametrize("rest", ["", '{"kind": "List", "items": []}'])
def test_an_emptied_file_is_held_and_then_obeyed(held: Held, rest: str) -> None:
    """A writer that truncates it may be about to write again. The other file goes on."""
    path = held.folder / "1.json"
    path.write_text(rest)
    held.put("2.json", service("b", 81))
    assert held.services() == ["a:80", "b:81"]
    assert held.snapshots.faults[0].startswith(f"{path}: says nothing any more, its objects are held for 10 s")
    held.clock.now = 10.0
    assert (held.services(), held.snapshots.faults) == (["b:81"], ())


def test_what_moved_out_of_a_bad_file_is_what_it_is_now(held: Held) -> None:
    """Wherever the files stand in order; the bad file's own objects stay as they were."""
    held.put("1.json", service("a"), service("c"))
    assert held.services() == ["a:80", "b:80", "c:80"]
    (held.folder / "1.json").write_text("{")
    held.put("2.json", service("b"), service("a", 81))
    found = held.snapshots.of(listing([held.folder]))
    assert found.rejected == ()
    assert held.services() == ["a:81", "b:80", "c:80"]
    held.put("1.json", service("c", 82))
    assert (held.services(), held.snapshots.faults) == (["a:81", "b:80", "c:82"], ())


def test_a_missing_folder_keeps_what_it_said(held: Held, tmp_path: Path) -> None:
    """However long it is missing; other paths go on, and so does this one when it is back."""
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    other.mkdir()
    (other / "o.json").write_text(json.dumps(service("o")))
    away = tmp_path.with_name(f"{tmp_path.name}-away")

    def services() -> list[str]:
        return sorted(ref.name for ref in held.snapshots.of(listing([other, tmp_path])).services)

    assert services() == ["a", "b", "o"]
    tmp_path.rename(away)
    (other / "o.json").write_text(json.dumps(service("p")))
    held.clock.now = 1000.0
    assert services() == ["a", "b", "p"]
    assert held.snapshots.faults == (f"{tmp_path}: no such file or folder",)
    away.rename(tmp_path)
    (tmp_path / "1.json").unlink()
    assert services() == ["b", "p"]
    assert not held.snapshots.faults


def test_a_file_that_is_being_written_says_what_it_said(held: Held) -> None:
    """A new one says nothing yet."""
    (held.folder / "1.json").write_text('{"kind": "Li')
    (held.folder / "3.json").write_text("")
    held.put("2.json", service("b", 81))
    assert (held.services(("1.json", "3.json")), held.snapshots.faults) == (["a:80", "b:81"], ())
    held.put("1.json", service("a", 82))
    assert held.services() == ["a:82", "b:81"]
