"""A Kubernetes source that a test follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from twinway.model.cluster import Cluster
from twinway.sources.base import Latest
from twinway.sources.kubernetes.source import KubernetesSource
from twinway.sources.kubernetes.transport import Timeouts, connect

Seen = TypeVar("Seen")


def until(look: Callable[[], Seen], holds: Callable[[Seen], object], seconds: float = 30.0) -> Seen:
    """What `look` sees as soon as this holds of it."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


class Following:
    """The source, and every snapshot that it has put."""

    def __init__(self, kubeconfig: Path, timeouts: Timeouts = Timeouts()) -> None:  # noqa: B008
        self.source = KubernetesSource(partial(connect, kubeconfig, "", timeouts), "n1")
        self._slot: Latest[Cluster] = Latest()
        self.snapshots: list[Cluster] = []
        self.source.start(self._slot)

    @property
    def cluster(self) -> Cluster:
        """The newest snapshot."""
        self._drain()
        return self.snapshots[-1]

    def until(self, holds: Callable[[Cluster], object], seconds: float = 20.0) -> Cluster:
        """The first snapshot, the newest or a coming one, of which this holds."""
        deadline = time.monotonic() + seconds
        while True:
            self._drain()
            if self.snapshots and holds(self.snapshots[-1]):
                return self.snapshots[-1]
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s; error={self.source.error} of {self.snapshots[-1:]}"
            if (cluster := self._slot.get(min(left, 0.5))) is not None:
                self.snapshots.append(cluster)

    def until_error(self, part: str | None, seconds: float = 20.0) -> None:
        """Return when the source's error has this in it, or, with None, when there is none."""
        deadline = time.monotonic() + seconds
        while True:
            error = self.source.error
            if (error is None) if part is None else (error is not None and part in error):
                return
            assert time.monotonic() < deadline, f"error is {error!r} after {seconds} s, not {part!r}"
            time.sleep(0.02)

    def stop(self) -> None:
        """Follow no more."""
        self.source.stop()

    def _drain(self) -> None:
        while (cluster := self._slot.get(0)) is not None:
            self.snapshots.append(cluster)
