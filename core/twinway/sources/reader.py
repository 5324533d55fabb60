"""Files read and decoded once: again only when their bytes have changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from twinway.errors import ManifestError
from twinway.sources.catalog import Content, content_of
from twinway.sources.parse import parse

_YOUNG_NS = 1_000_000_000
"""A file changed this short before it was read may change again and keep its time stamp."""

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Read:
    """A file as it was read."""

    stamp: Stamp | None
    """What must be unchanged for the file to be unchanged; None: look at its bytes."""
    digest: bytes
    content: Content


class Reader:
    """Remembers what it read, file by file."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._known: dict[Path, Read] = {}

    def read(self, path: Path) -> Read:
        """The file's content, the same object as long as its bytes are the same; raises `ManifestError`."""
        known = self._known.get(path)
        if known is not None and known.stamp is not None and known.stamp == _stamp(path):
            return known
        now = time.time_ns()
        stamp = _stamp(path)
        data = content_bytes(path)
        digest = digest_of(data)
        settled = stamp if now - max(stamp[0], stamp[1]) > _YOUNG_NS else None
        if known is not None and known.digest == digest:
            content = known.content
        else:
            content = content_of(parse(path, data), known.content if known else Content())
        self._known[path] = Read(settled, digest, content)
        return self._known[path]

    def forget_all_but(self, paths: tuple[Path, ...]) -> None:
        """Let go of files that are not among `paths`."""
        kept = set(paths)
        self._known = {path: read for path, read in self._known.items() if path in kept}


def content_bytes(path: Path) -> bytes:
    """The file's bytes; raises `ManifestError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error


def digest_of(data: bytes) -> bytes:
    """What names these bytes."""
    return blake2b(data, digest_size=16).digest()


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
