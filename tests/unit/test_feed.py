"""What the loop is fed with: when it is new, and when it is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.states import attachment
from twinway.attachments import Attachments
from twinway.bell import Bell
from twinway.feed import NodeFeed
from twinway.model.cluster import Cluster
from twinway.sources.base import Latest


class HandSource:
    """A source whose snapshots the test puts."""

    def __init__(self) -> None:
        self.error: str | None = None
        self.slot: Latest[Cluster] | None = None

    def start(self, slot: Latest[Cluster]) -> None:
        self.slot = slot

    def stop(self) -> None:
        self.slot = None

    def put(self, version: str, *, complete: bool = True) -> None:
        """A snapshot of that version."""
        assert self.slot is not None
        self.slot.put(Cluster(version=version, complete=complete))


class Node:
    """A feed with its source and registry."""

    def __init__(self, folder: Path) -> None:
        self.deleted = folder / "deleted"
        self.deleted.mkdir()
        self.bell = Bell()
        self.source = HandSource()
        self.attachments = Attachments(folder / "attachments", self.bell.ring)
        self.feed = NodeFeed(self.source, self.attachments, self.bell, self.deleted)
        self.feed.start()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_nothing_before_the_first_snapshot(node: Node) -> None:
    """Pods alone are no input: without a snapshot everything would look deleted."""
    node.attachments.add(attachment("web"))
    assert node.feed.newest() is None


def test_newest_snapshot_counts(node: Node) -> None:
    """Of several snapshots the last is taken."""
    for version in ("v1", "v2", "v3"):
        node.source.put(version)
    newest = node.feed.newest()
    assert newest is not None
    assert newest.cluster.version == "v3"


def test_same_object_while_nothing_changed(node: Node) -> None:
    """Without news the inputs are the very same object."""
    node.source.put("v1")
    assert node.feed.newest() is node.feed.newest()


def test_pod_is_news(node: Node) -> None:
    """A pod that comes or goes makes new inputs of the same snapshot, and rings."""
    node.source.put("v1")
    before = node.feed.newest()
    web = attachment("web")
    node.bell.wait(0)
    node.attachments.add(web)
    after = node.feed.newest()
    assert after is not None
    assert after is not before
    assert after.attachments == (web,)
    node.bell.wait(3600)  # returns at once: it was rung


def test_notes_are_honoured_and_removed(node: Node) -> None:
    """A note forgets its container's pod, whether known or not, and is gone afterwards."""
    node.source.put("v1")
    node.attachments.add(attachment("web", "c1"))
    for name in ("c1", "stranger"):
        (node.deleted / name).touch()
    newest = node.feed.newest()
    assert newest is not None
    assert newest.attachments == ()
    assert list(node.deleted.iterdir()) == []


def test_error_is_the_sources(node: Node) -> None:
    """Why there is nothing newer is what the source says."""
    node.source.error = "a.yaml: no YAML"
    assert node.feed.error == "a.yaml: no YAML"
    node.feed.stop()
    assert node.source.slot is None
