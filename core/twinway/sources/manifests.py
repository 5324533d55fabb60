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

from twinway.errors import ManifestError, TwinwayError
from twinway.model.cluster import Cluster
from twinway.sources.base import Latest
from twinway.sources.catalog import Catalog
from twinway.sources.listing import listing
from twinway.sources.reader import Reader, content_bytes, digest_of

if TYPE_CHECKING:
    from twinway.sources.watch import Watch

logger = logging.getLogger(__name__)


def load(paths: Iterable[Path]) -> Cluster:
    """The objects in these files and folders; raises `ManifestError` where a file cannot be read."""
    return Snapshots(paths).newest()


def version_of(paths: Iterable[Path]) -> str:
    """What names the content of these files and folders: the `version` of their snapshot."""
    return _version(digest_of(content_bytes(path)) for path in listing(paths).files)


def _version(digests: Iterable[bytes]) -> str:
    return blake2b(b"".join(digests), digest_size=16).hexdigest()


class Snapshots:
    """Snapshots of some paths, one after the other; what did not change stays the same object."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Nothing is read yet."""
        self.paths = tuple(paths)
        self._reader = Reader()
        self._catalog = Catalog()

    def newest(self) -> Cluster:
        """What the files say now; raises `ManifestError`, having changed nothing."""
        files = listing(self.paths).files
        reads = {path: self._reader.read(path) for path in files}
        self._reader.forget_all_but(files)
        version = _version(read.digest for read in reads.values())
        return self._catalog.snapshot(version, {path: read.content for path, read in reads.items()})


class ManifestSource:
    """A `Source` that follows files and folders."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Nothing is read or watched yet."""
        self._snapshots = Snapshots(paths)
        self._watch: Watch | None = None
        self._thread: Thread | None = None
        self.synced = False
        self.error: str | None = None

    def start(self, slot: Latest[Cluster]) -> None:
        """Put the first snapshot, unless a file cannot be read; follow in a thread of its own."""
        from twinway.sources.watch import Watch

        self._watch = Watch()
        last = self._follow(self._watch, slot, None)
        self._thread = Thread(target=self._run, args=(self._watch, slot, last), name="manifests", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Put no more. Safe to repeat, also without `start`."""
        if self._watch is None or self._thread is None:
            return
        self._watch.stop()
        self._thread.join()
        self._watch = self._thread = None

    def _run(self, watch: Watch, slot: Latest[Cluster], last: Cluster | None) -> None:
        with watch:
            while watch.wait():
                last = self._follow(watch, slot, last)

    def _follow(self, watch: Watch, slot: Latest[Cluster], last: Cluster | None) -> Cluster | None:
        try:
            # Watched before it is read: what changes in between is read once more.
            watch.folders(_folders(self._snapshots.paths))
            newest = self._snapshots.newest()
        except TwinwayError as error:
            self._report(str(error))
            return last
        self._report(None)
        if last is None or newest.version != last.version:
            slot.put(newest)
        self.synced = True
        return newest

    def _report(self, error: str | None) -> None:
        if error and error != self.error:
            logger.warning("manifests cannot be read, last good ones stay error=%r", error)
        self.error = error


def _folders(paths: Iterable[Path]) -> set[Path]:
    folders: set[Path] = set()
    for path in paths:
        folders.add(path.parent if path.is_file() else path)
        try:
            folders.update(listing([path]).folders)
        except ManifestError:
            continue  # not there: watched from above, and told by whoever reads
    return folders
