"""Small files that must be whole or absent, whatever dies in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Put `text` at `path` in one step: a reader sees the old content or the new, never a part."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


def remedy(error: OSError) -> str:
    """What helps where a folder of ours cannot be written."""
    full = {errno.ENOSPC: "make room there", errno.EDQUOT: "make room there", errno.EMFILE: "raise its limit"}
    return full.get(error.errno or 0, "make it writable or choose another")
