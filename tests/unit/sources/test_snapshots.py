"""Laws of snapshots: what is kept from one to the next changes nothing of what they say."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import POD, SERVICE, SLICE, Document, having
from twinway.sources.listing import files_in
from twinway.sources.manifests import Snapshots, load

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
            assert snapshots.of(files_in([folder])) == load([folder])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.lists(objects(), max_size=3) for name in ("1.json", "2.json")})))
def test_reading_only_what_changed_says_the_same(steps: list[Files]) -> None:
    """As long as the same files are there."""
    snapshots = Snapshots()
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        for number, files in enumerate(steps):
            changed = write(folder, files)
            newest = snapshots.again(changed) if number else snapshots.of(files_in([folder]))
            assert newest == load([folder])


@settings(max_examples=200, deadline=None)
@given(folders)
def test_what_did_not_change_stays_the_same_object(files: Files) -> None:
    """Derived slices, too; a kind of which nothing changed is the same mapping."""
    snapshots = Snapshots()
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        write(folder, files)
        old = snapshots.of(files_in([folder]))
        write(folder, {**files, "9.json": [having(SERVICE, "metadata.name", "other")]})
        new = snapshots.of(files_in([folder]))
    assert new.pods is old.pods
    assert all(new.services[ref] is each for ref, each in old.services.items())
    assert all(new.slices[ref] is each for ref, each in old.slices.items())


def test_a_quick_change_of_equal_size_is_seen(tmp_path: Path) -> None:
    """A file may change twice between two ticks of the clock its time stamp is taken from."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(having(SERVICE, "spec.clusterIP", "10.96.0.1")))
    times = path.stat().st_mtime_ns
    snapshots = Snapshots()
    old = snapshots.of([path])
    with path.open("r+") as file:
        file.write(json.dumps(having(SERVICE, "spec.clusterIP", "10.96.0.2")))
    os.utime(path, ns=(times, times))
    assert snapshots.of([path]).version != old.version
