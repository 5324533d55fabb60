"""What every source of cluster objects is, and the slot that it puts its snapshots into."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Generic, Protocol, TypeVar

from twinway.model.cluster import Cluster

T = TypeVar("T")


class Latest(Generic[T]):
    """
    A slot of one value: the newest wins, an older one that nobody took is gone.

    Safe between threads. `ring`, where given, is called after each `put`, for a reader that waits
    for other things, too.
    """

    def __init__(self, ring: Callable[[], None] | None = None) -> None:
        """Empty."""
        self._condition = Condition()
        self._values: list[T] = []
        self._ring = ring

    def put(self, value: T) -> None:
        """Replace what is in the slot."""
        with self._condition:
            self._values = [value]
            self._condition.notify()
        self.ring()

    def ring(self) -> None:
        """Have the reader look, though there is no new value."""
        if self._ring is not None:
            self._ring()

    def get(self, timeout: float | None = None) -> T | None:
        """Take the value out, waiting for one; None after `timeout` seconds (0: do not wait)."""
        with self._condition:
            self._condition.wait_for(lambda: self._values, timeout)
            return self._values.pop() if self._values else None


class Source(Protocol):
    """
    Where objects come from. Puts whole snapshots into the slot, and only when all kinds are known.

    A source that loses its origin keeps quiet: what it put last stays true. It says so in `error`,
    and rings the slot when that changes.
    """

    @property
    def synced(self) -> bool:
        """Whether a complete snapshot has been put: before that nothing may be deleted."""

    @property
    def error(self) -> str | None:
        """One line for people: why the newest input is not in force, None when it is."""

    def start(self, slot: Latest[Cluster]) -> None:
        """Put the first snapshot as soon as it is complete, then one after each change."""

    def stop(self) -> None:
        """Put no more. Safe to repeat, also without `start`."""
