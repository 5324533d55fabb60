"""What every source of cluster objects is, and the slot that it puts its snapshots into."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Generic, Protocol, TypeVar, runtime_checkable

from twinway.model.cluster import Cluster
from twinway.model.net import Rejected

T = TypeVar("T")


class Latest(Generic[T]):
    """
    A slot of one value: a new value replaces one that nobody took.

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
        """Wake the reader, though there is no new value."""
        if self._ring is not None:
            self._ring()

    def get(self, timeout: float | None = None) -> T | None:
        """Take the value out, waiting for one; None after `timeout` seconds (0: do not wait)."""
        with self._condition:
            self._condition.wait_for(lambda: self._values, timeout)
            return self._values.pop() if self._values else None


@runtime_checkable
class Reporting(Protocol):
    """A source that reports to its origin what became of the objects."""

    def in_force(self, rejected: tuple[Rejected, ...], *, ready: bool) -> None:
        """
        A state is in force, or still is. Called at each pass of the agent's loop; returns at once.

        `rejected` is what the state could not use, the same tuple while that does not change. `ready`: the state
        is complete, and the node's pods are served.
        """


class Source(Protocol):
    """
    Where objects come from. A source puts snapshots into the slot, and each says whether it is complete.

    A source that has read some kinds only may put a snapshot that is not `complete`: the agent adds its
    Services to the kernel, removes nothing, and leaves pods and policy as they are. After a complete
    snapshot a source puts complete ones alone. A source that loses its origin puts nothing: its last
    snapshot stays in force. It sets `error`, and rings the slot whenever that changes; the agent then
    reports the reason, and since when.
    """

    @property
    def error(self) -> str | None:
        """Why the source is out of sync with its origin, in one line; None while it is in sync."""

    def start(self, slot: Latest[Cluster]) -> None:
        """Put a first snapshot, and one after each change."""

    def stop(self) -> None:
        """Put no more. Safe to repeat, also without `start`."""
