"""
The manifest source: Kubernetes objects in files and folders, watched.

`load` reads once, for tools; `ManifestSource` is what an agent runs on. EndpointSlices that no file
holds are derived from selectors and pods. The objects of a file stay in force while it cannot
be read, and `error` names the file (see `snapshots`); the first snapshot waits until every file can be read.
An object that cannot be used is among the snapshot's `rejected`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from twinway.errors import ManifestError, TwinwayError
from twinway.model.cluster import Cluster
from twinway.sources.base import Latest
from twinway.sources.manifests.listing import Listing, files_in, is_hidden, listing
from twinway.sources.manifests.reader import content_bytes, digest_of
from twinway.sources.manifests.snapshots import Snapshots, version_of_digests

if TYPE_CHECKING:
    from twinway.sources.manifests.watch import Watch

RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


def load(paths: Iterable[Path]) -> Cluster:
    """The objects in these files and folders; raises `ManifestError` where a file cannot be read."""
    snapshots = Snapshots()
    cluster = snapshots.of(listing(paths))
    for fault in snapshots.faults:
        raise ManifestError(fault)
    return cluster


def version_of(paths: Iterable[Path]) -> str:
    """What names the content of these files and folders: the `version` of their snapshot."""
    return version_of_digests(digest_of(content_bytes(path)) for path in files_in(paths))


class ManifestSource:
    """A `Source` that follows files and folders."""

    def __init__(self, paths: Iterable[Path], hold_seconds: float = 0.0) -> None:
        """Nothing is read or watched yet. What says nothing any more is held for `hold_seconds`."""
        self._paths = tuple(paths)
        self._hold_seconds = hold_seconds
        self._places: frozenset[Path] = frozenset()
        self._snapshots = Snapshots(hold_seconds)
        self._running: tuple[Watch, Thread] | None = None
        self._blank_until: float | None = None
        self._version: str | None = None
        self.error: str | None = None

    def start(self, slot: Latest[Cluster]) -> None:
        """Put the first snapshot, unless a file cannot be read; follow in a thread of its own."""
        from twinway.sources.manifests.watch import Watch

        watch = Watch(self._hold_seconds)
        self._refresh(watch, slot, None)
        thread = Thread(target=self._run, args=(watch, slot), name="manifests", daemon=True)
        self._running = (watch, thread)
        thread.start()

    def stop(self) -> None:
        """Put no more. Safe to repeat, also without `start`."""
        if self._running is None:
            return
        watch, thread = self._running
        self._running = None
        watch.stop()
        thread.join()
        watch.close()

    def _run(self, watch: Watch, slot: Latest[Cluster]) -> None:
        # A file that could not be read is tried again, even without an event.
        while (touched := watch.wait(self._pause())) is not None:
            concerned = frozenset(filter(self._concerns, touched))
            if concerned or self.error:
                self._refresh(watch, slot, concerned)

    def _pause(self) -> float | None:
        if self.error is None:
            return None
        due = (self._snapshots.due_seconds, self._blank_until and self._blank_until - time.monotonic())
        return max(min(each for each in (RETRY_SECONDS, *due) if each is not None), 0.001)

    def _still_there(self, path: Path) -> bool:
        return self._snapshots.holds(path) and path.is_file()

    def _concerns(self, path: Path) -> bool:
        # Files that are written under a hidden name and then renamed come and go without a look.
        return self._snapshots.holds(path) or path in self._places or path.is_dir() or not is_hidden(path.name)

    def _refresh(self, watch: Watch, slot: Latest[Cluster], touched: frozenset[Path] | None) -> None:
        try:
            newest, fault = self._newest(watch, touched)
        except TwinwayError as error:
            newest, fault = None, str(error)
        before, self.error = self.error, fault
        if newest is not None and newest.version != self._version:
            self._version = newest.version
            slot.put(newest)
        if fault != before:
            if fault is None:
                logger.info("manifests can be read again")
            else:
                logger.warning("manifests cannot be read, what they said stays error=%r", fault)
            slot.ring()  # so that the status changes at once

    def _newest(self, watch: Watch, touched: frozenset[Path] | None) -> tuple[Cluster | None, str | None]:
        # After an error nobody knows what has been missed.
        if touched is not None and self.error is None and all(map(self._still_there, touched)):
            newest = self._snapshots.again(touched)
            if newest is not None:
                return newest, None
        newest = self._snapshots.of(self._watched(watch), watch.unsettled)
        fault = _in_a_line(self._snapshots.faults) or (None if self._version else self._still_blank())
        # Before the first snapshot there is nothing that a file's objects could stay as.
        return (newest if self._version or fault is None else None), fault

    def _still_blank(self) -> str | None:
        """Why a first snapshot without any object is not believed yet: what the kernel has would go."""
        if not self._snapshots.blank or self._hold_seconds <= 0:
            return None
        now = time.monotonic()
        self._blank_until = self._blank_until or now + self._hold_seconds
        if now >= self._blank_until:
            return None
        where = ", ".join(map(str, self._paths))
        return f"{where}: there is no object, which is believed after {self._hold_seconds:g} s"

    def _watched(self, watch: Watch) -> Listing:
        """What there is, seen after all folders are watched: what comes later ends `wait`."""
        found = listing(self._paths)
        while watch.follow(found.folders):
            found = listing(self._paths)
        self._places = frozenset((*self._paths, *found.folders))
        return found


def _in_a_line(faults: tuple[str, ...]) -> str | None:
    if not faults:
        return None
    return faults[0] if len(faults) == 1 else f"{faults[0]} (and {len(faults) - 1} more)"
