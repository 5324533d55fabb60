"""Small files that must be whole or absent, whatever dies in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int = 0o600, sync: bool = False) -> None:
    """
    Put `content` at `path` in one step: a reader sees the old content or the new, never a part.

    With `sync` the content is on the disk before it stands at `path`.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask is
            file.write(content.encode() if isinstance(content, str) else content)
            if sync:
                file.flush()
                os.fsync(descriptor)
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise


def remedy(error: OSError) -> str:
    """What helps where a folder of ours cannot be written."""
    full = {errno.ENOSPC: "make room there", errno.EDQUOT: "make room there", errno.EMFILE: "raise its limit"}
    return full.get(error.errno or 0, "make it writable or choose another")
