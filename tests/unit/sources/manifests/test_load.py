"""Files and folders read once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.documents import NAMESPACE, POD, SERVICE, Document, having
from twinway.errors import ManifestError
from twinway.model.cluster import Cluster
from twinway.sources.manifests.source import load, version_of


def write(path: Path, *documents: Document) -> Path:
    """A file with these documents, by its name JSON (then one) or YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n---\n".join(json.dumps(document) for document in documents))
    return path


def names(cluster: Cluster) -> list[str]:
    """The Services of a snapshot, by name."""
    return sorted(ref.name for ref in cluster.services)


def named(name: str) -> Document:
    """A Service of this name."""
    return having(SERVICE, "metadata.name", name)


def test_a_file_and_a_folder(tmp_path: Path) -> None:
    """A folder means all manifests below it, but nothing hidden and nothing of another kind."""
    single = write(tmp_path / "single.yaml", named("a"), named("b"))
    folder = tmp_path / "folder"
    write(folder / "c.json", named("c"))
    write(folder / "deeper" / "still" / "d.yml", named("d"))
    write(folder / ".hidden.yaml", named("no"))
    write(folder / ".git" / "e.yaml", named("no"))
    (folder / "README.md").write_text("no manifest")
    assert names(load([single, folder])) == ["a", "b", "c", "d"]


def test_a_file_that_is_meant_twice_is_read_once(tmp_path: Path) -> None:
    """Naming a folder and a file in it is no duplicate; nor is a link back to the folder an end without end."""
    path = write(tmp_path / "a.yaml", named("a"))
    (tmp_path / "loop").symlink_to(tmp_path)
    cluster = load([path, tmp_path])
    assert (names(cluster), cluster.rejected) == (["a"], ())


def test_kinds_that_nobody_uses_are_counted(tmp_path: Path) -> None:
    """One line for each kind, however many objects; a misspelt kind is named with its object and place."""
    others = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{n}"}} for n in range(3)]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    misspelt = {**SERVICE, "kind": "Servce"}
    write(tmp_path / "a.yaml", *others, secret, misspelt)
    assert [str(each) for each in load([tmp_path]).rejected] == [
        "ConfigMap *: kind: is not a kind that is used here: 3 objects left out",
        "Secret *: kind: is not a kind that is used here: 1 object left out",
        "Servce shop/web: kind: 'Servce' is not a kind that is used here; did you mean Service? "
        f"({tmp_path}/a.yaml: document 5)",
    ]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Not read as if it were empty."""
    with pytest.raises(ManifestError, match=r"/gone: no such file or folder$"):
        load([tmp_path, tmp_path / "gone"])
    with pytest.raises(ManifestError, match=r"/gone: no such file or folder$"):
        version_of([tmp_path / "gone"])


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    """Passed over, its objects would be taken away from under their users."""
    (tmp_path / "a.yaml").symlink_to("gone")
    with pytest.raises(ManifestError, match=r"/a\.yaml: No such file or directory$"):
        load([tmp_path])


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    """By its name, as any other folder that cannot be listed."""
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    with pytest.raises(ManifestError, match=r"/a\.yaml: Too many levels of symbolic links$"):
        load([tmp_path])


def test_a_rejected_object_tells_its_file_and_place(tmp_path: Path) -> None:
    """Also the second of one name, which may stand in another file."""
    first = write(tmp_path / "a.yaml", named("a"), having(named("b"), "spec.ports.0.port", 0))
    second = write(tmp_path / "b.yaml", NAMESPACE, named("a"))
    cluster = load([tmp_path])
    assert [str(each) for each in cluster.rejected] == [
        f"Service shop/a: metadata.name: is given twice; the first one counts ({second}: document 2)",
        f"Service shop/b: spec.ports[0].port: must be a port number, 1 to 65535, not 0 ({first}: document 2)",
    ]


def test_the_version_names_the_content(tmp_path: Path) -> None:
    """Equal content has an equal version, wherever it stands; other content has another."""
    write(tmp_path / "one" / "a.yaml", named("a"))
    write(tmp_path / "two" / "a.yaml", named("a"))
    write(tmp_path / "three" / "a.yaml", named("b"))
    versions = [version_of([tmp_path / name]) for name in ("one", "two", "three")]
    assert versions[0] == versions[1] != versions[2]
    assert versions == [load([tmp_path / name]).version for name in ("one", "two", "three")]


def test_slices_are_derived_where_nobody_wrote_any(tmp_path: Path) -> None:
    """From the selector of a Service and its pods."""
    write(tmp_path / "a.yaml", SERVICE, POD)
    (derived,) = load([tmp_path]).slices.values()
    assert [(str(each.address), each.ready) for each in derived.endpoints] == [("10.0.0.1", True)]


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    """Who loads once must not go on with half of the objects."""
    write(tmp_path / "a.yaml", named("a"))
    (tmp_path / "b.yaml").write_text("a: b: c")
    with pytest.raises(ManifestError, match=r"/b\.yaml:1: mapping values are not allowed in this context$"):
        load([tmp_path])
