"""
The manifest source: Kubernetes objects in files and folders, watched.

`load` reads once, for tools; `ManifestSource` is what an agent runs on. EndpointSlices that nobody
wrote are derived from selectors and pods. A file that cannot be read leaves the last good snapshot
in force and is named in `error`; an object that cannot be used is among the snapshot's `rejected`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from twinway.errors import TwinwayError
from twinway.model.cluster import Cluster
from twinway.sources.base import Latest
from twinway.sources.catalog import Catalog, Content
from twinway.sources.listing import Listing, files_in, is_hidden, listing, refuse_missing
from twinway.sources.reader import Read, content_bytes, digest_of, read

if TYPE_CHECKING:
    from twinway.sources.watch import Watch

RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


def load(paths: Iterable[Path]) -> Cluster:
    """The objects in these files and folders; raises `ManifestError` where a file cannot be read."""
    return Snapshots().of(files_in(paths))


def version_of(paths: Iterable[Path]) -> str:
    """What names the content of these files and folders: the `version` of their snapshot."""
    return _version(digest_of(content_bytes(path)) for path in files_in(paths))


def _version(digests: Iterable[bytes]) -> str:
    return blake2b(b"".join(digests), digest_size=16).hexdigest()


class Snapshots:
    """Snapshots of files, one after the other; what did not change stays the same object."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._reads: dict[Path, Read] = {}
        self._digests: dict[Path, bytes] = {}
        self._contents: dict[Path, Content] = {}
        self._catalog = Catalog()

    def hold(self, path: Path) -> bool:
        """Whether this is a file of the last snapshot."""
        return path in self._reads

    def of(self, files: Iterable[Path]) -> Cluster:
        """What these files say; raises `ManifestError`, having changed nothing."""
        reads = {path: read(path, self._reads.get(path)) for path in files}
        self._reads, self._digests, self._contents = {}, {}, {}
        return self._snapshot(reads)

    def again(self, files: Iterable[Path]) -> Cluster:
        """What all files of the last snapshot say, of which only these changed; raises `ManifestError`."""
        reads = {path: read(path, self._reads[path]) for path in files}
        return self._snapshot(reads)

    def _snapshot(self, reads: dict[Path, Read]) -> Cluster:
        self._reads |= reads
        self._digests |= {path: each.digest for path, each in reads.items()}
        # The catalog still has the old mapping, to tell what changed.
        self._contents = self._contents | {path: each.content for path, each in reads.items()}
        return self._catalog.snapshot(_version(self._digests.values()), self._contents)


class ManifestSource:
    """A `Source` that follows files and folders."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Nothing is read or watched yet."""
        self._paths = tuple(paths)
        self._places: frozenset[Path] = frozenset()
        self._snapshots = Snapshots()
        self._running: tuple[Watch, Thread] | None = None
        self._version: str | None = None
        self.error: str | None = None

    @property
    def synced(self) -> bool:
        """Whether a snapshot has been put."""
        return self._version is not None

    def start(self, slot: Latest[Cluster]) -> None:
        """Put the first snapshot, unless a file cannot be read; follow in a thread of its own."""
        from twinway.sources.watch import Watch

        watch = Watch()
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
        # What could not be read is tried again, even if no event tells that it can be now.
        while (touched := watch.wait(RETRY_SECONDS if self.error else None)) is not None:
            concerned = frozenset(filter(self._concerns, touched))
            if concerned or self.error:
                self._refresh(watch, slot, concerned)

    def _still_there(self, path: Path) -> bool:
        return self._snapshots.hold(path) and path.is_file()

    def _concerns(self, path: Path) -> bool:
        # Files that are written under a hidden name and then renamed come and go without a look.
        return self._snapshots.hold(path) or path in self._places or path.is_dir() or not is_hidden(path.name)

    def _refresh(self, watch: Watch, slot: Latest[Cluster], touched: frozenset[Path] | None) -> None:
        try:
            newest = self._newest(watch, touched)
        except TwinwayError as error:
            before, self.error = self.error, str(error)
            if self.error != before:
                logger.warning("manifests cannot be read, last good ones stay error=%r", self.error)
            return
        self.error = None
        if newest.version != self._version:
            self._version = newest.version
            slot.put(newest)

    def _newest(self, watch: Watch, touched: frozenset[Path] | None) -> Cluster:
        # After an error nobody knows what has been missed.
        if touched is not None and self.error is None and all(map(self._still_there, touched)):
            return self._snapshots.again(touched)
        found = self._watched(watch)
        refuse_missing(found)
        return self._snapshots.of(found.files)

    def _watched(self, watch: Watch) -> Listing:
        """What there is, seen after all folders are watched: what comes later ends `wait`."""
        found = listing(self._paths)
        while watch.follow(found.folders):
            found = listing(self._paths)
        self._places = frozenset((*self._paths, *found.folders))
        return found
