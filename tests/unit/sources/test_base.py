"""The slot of one value between a source and its reader."""

from __future__ import annotations

from threading import Thread

from twinway.sources.base import Latest


def test_the_newest_value_wins() -> None:
    """A value that nobody took is gone, and one that was taken is not there twice."""
    slot: Latest[int] = Latest()
    slot.put(1)
    slot.put(2)
    assert [slot.get(0), slot.get(0)] == [2, None]


def test_a_reader_that_waits_is_woken() -> None:
    """From another thread."""
    slot: Latest[str] = Latest()
    taken: list[str | None] = []
    reader = Thread(target=lambda: taken.append(slot.get(30)))
    reader.start()
    slot.put("news")
    reader.join(30)
    assert taken == ["news"]


def test_each_put_rings() -> None:
    """So that a reader can wait for other things, too; the value is there when it rings."""
    seen: list[int | None] = []
    slot: Latest[int] = Latest(lambda: seen.append(slot.get(0)))
    slot.put(1)
    slot.put(2)
    assert seen == [1, 2]
