"""
Snapshots of files, one after the other: what did not change stays the same object.

A file's objects stay in force while the file does not say what is true now:

* a file that cannot be read, or whose folder is missing: for as long as that lasts;
* a file that suddenly holds no object, and all files if no object is left in any: for `hold_seconds`,
  because somebody may be in the middle of writing the file or folder again;
* a file that somebody has open for writing: until it is closed, or for `hold_seconds`.

The other files are followed meanwhile. If a readable file has the same object, it has moved there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path

from twinway.errors import ManifestError
from twinway.model.cluster import Cluster
from twinway.sources.manifests.catalog import Catalog, Content
from twinway.sources.manifests.listing import Listing
from twinway.sources.manifests.reader import Read, read


def version_of_digests(digests: Iterable[bytes]) -> str:
    """The `version` of files with these contents."""
    return blake2b(b"".join(digests), digest_size=16).hexdigest()


class Snapshots:
    """Snapshots of what files hold; `faults` names the files that cannot be used, with the reason."""

    def __init__(self, hold_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is read yet. What says nothing any more is held for `hold_seconds`."""
        self._hold_seconds = hold_seconds
        self._clock = clock
        self._reads: dict[Path, Read] = {}
        self._contents: Mapping[Path, Content] = {}
        self._holding: dict[Path | None, tuple[float, str]] = {}
        self._catalog = Catalog()
        self.faults: tuple[str, ...] = ()

    @property
    def due_seconds(self) -> float | None:
        """How long until something that is held will be held no more; None while nothing is."""
        if not self._holding:
            return None
        return max(min(end for end, _ in self._holding.values()) - self._clock(), 0.0)

    @property
    def blank(self) -> bool:
        """Whether the files say nothing at all."""
        return not any(content.values or content.rejected for content in self._contents.values())

    def holds(self, path: Path) -> bool:
        """Whether this is a file of the last snapshot."""
        return path in self._reads

    def of(self, found: Listing, unsettled: Collection[Path] = ()) -> Cluster:
        """What these files say; `unsettled` ones are being written now."""
        live: dict[Path, Read] = {}
        kept: dict[Path, Read] = {}
        faults: list[str] = [f"{path}: {reason}" for path, reason in found.missing.items()]
        holding: dict[Path | None, tuple[float, str]] = {}
        for path in found.files:
            known = self._reads.get(path)
            if path in unsettled:
                live |= {path: known} if known else {}
                continue
            try:
                new = read(path, known)
            except ManifestError as error:
                if path.exists() or path.is_symlink():  # else it went since it was listed
                    faults.append(str(error))
                    kept |= {path: known} if known else {}
                continue
            if known is not None and _says_nothing(new, known) and self._hold(path, holding):
                kept[path] = known
            else:
                live[path] = new
        lost = {path: each for path, each in self._reads.items() if path not in live and path not in kept}
        kept |= {path: each for path, each in lost.items() if _below(path, found.missing)}
        if not any(each.content.values for each in (*live.values(), *kept.values())):
            gone = {path: each for path, each in lost.items() if each.content.values and path not in kept}
            if gone and self._hold(None, holding):
                kept |= gone
        self._holding = holding
        self.faults = (*faults, *(words for _, words in holding.values()))
        # In the order of the listing, by which the first of two objects of one name counts.
        both = live | kept
        self._reads = {path: both[path] for path in (*found.files, *kept) if path in both}
        return self._snapshot(live, kept)

    def again(self, files: Iterable[Path]) -> Cluster | None:
        """What all files of the last snapshot say, of which only these changed; None where `of` must look."""
        try:
            reads = {path: read(path, self._reads[path]) for path in files}
        except ManifestError:
            return None
        if self._hold_seconds > 0 and any(_says_nothing(each, self._reads[path]) for path, each in reads.items()):
            return None
        self._reads |= reads
        # The catalog keeps the old mapping, to find what changed.
        self._contents = {**self._contents, **{path: each.content for path, each in reads.items()}}
        return self._catalog.snapshot(self._version(), self._contents)

    def _hold(self, path: Path | None, holding: dict[Path | None, tuple[float, str]]) -> bool:
        """Whether the moment is not over for which this file's objects, or with None all of them, are held."""
        now = self._clock()
        if path in self._holding:
            holding[path] = self._holding[path]
        elif self._hold_seconds > 0:
            until = time.strftime("%H:%M:%S", time.localtime(time.time() + self._hold_seconds))
            what = (
                f"{path}: says nothing any more, its objects are" if path else "no object is left, all of them are"
            )
            holding[path] = (now + self._hold_seconds, f"{what} held for {self._hold_seconds:g} s, until {until}")
        if path in holding and holding[path][0] > now:
            return True
        holding.pop(path, None)
        return False

    def _snapshot(self, live: dict[Path, Read], kept: dict[Path, Read]) -> Cluster:
        contents = {path: each.content for path, each in self._reads.items()}
        if kept:
            moved = {value.ref for each in live.values() for value, _ in each.content.values}
            for path, each in kept.items():
                values = tuple(pair for pair in each.content.values if pair[0].ref not in moved)
                contents[path] = replace(each.content, values=values)
        self._contents = contents
        return self._catalog.snapshot(self._version(), contents)

    def _version(self) -> str:
        return version_of_digests(map(attrgetter("digest"), self._reads.values()))


def _says_nothing(new: Read, known: Read) -> bool:
    return bool(known.content.values) and not new.content.values and not new.content.rejected


def _below(path: Path, missing: Collection[Path]) -> bool:
    return any(each == path or each in path.parents for each in missing)
