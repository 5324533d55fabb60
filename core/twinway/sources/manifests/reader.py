"""Files read and decoded: again only when their bytes have changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from twinway.errors import ManifestError
from twinway.sources.manifests.catalog import Content, content_of
from twinway.sources.manifests.parse import parse

_YOUNG_NS = 1_000_000_000
"""A file that changed this short before it was read may change again and keep its time stamp."""

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Read:
    """A file as it was read."""

    stamp: Stamp | None
    """As long as the file has this stamp its bytes are the same; None: look at them."""
    digest: bytes
    content: Content


def read(path: Path, known: Read | None) -> Read:
    """
    The file as it is now; its content is that of `known` while the bytes are the same.

    Raises `ManifestError`.
    """
    now = time.time_ns()
    stamp = _stamp(path)
    if known is not None and known.stamp == stamp:
        return known
    data = content_bytes(path)
    settled = stamp if now - max(stamp[0], stamp[1]) > _YOUNG_NS else None
    digest = digest_of(data)
    if known is not None and known.digest == digest:
        return Read(settled, digest, known.content)
    return Read(settled, digest, content_of(parse(path, data), known.content if known else Content()))


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
