"""The heap between two changes: what stays is out of the collector's sight, garbage is not."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from twinway.collector import settle_heap


class Node:
    """Something that can be part of a cycle."""

    def __init__(self) -> None:
        self.other: Node = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    gc.disable()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)
    gc.enable()


def test_what_stays_is_set_aside() -> None:
    """A collection after it does not look at what was alive then."""
    staying = [Node() for _ in range(1000)]
    settle_heap(whole=False)
    assert gc.get_freeze_count() > len(staying)
    assert not any(each is staying for each in gc.get_objects())


def test_a_change_is_not_interrupted() -> None:
    """As many new objects as a large change makes start no collection."""
    gc.enable()
    settle_heap(whole=False)
    before = [each["collections"] for each in gc.get_stats()]
    new = [Node() for _ in range(20_000)]
    assert [each["collections"] for each in gc.get_stats()] == before
    del new


@pytest.mark.parametrize("whole", [False, True])
def test_young_garbage_goes(whole: bool) -> None:
    """A cycle that nobody holds is freed, not set aside."""
    gone = weakref.ref(Node())
    settle_heap(whole=whole)
    assert gone() is None


def test_old_garbage_goes_with_the_whole() -> None:
    """A cycle that was set aside alive and is given up later waits for the next look at everything."""
    old = Node()
    watched = weakref.ref(old)
    settle_heap(whole=False)
    del old
    settle_heap(whole=False)
    assert watched() is not None
    settle_heap(whole=True)
    assert watched() is None
