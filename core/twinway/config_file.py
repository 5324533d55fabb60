"""
The node config's file, read again while the agent runs: an editor's file, or a ConfigMap that kubelet mounts.

The file counts once it has stayed the same for a moment, so that half of what an editor writes is
never obeyed. kubelet replaces a ConfigMap's files in one step, by a symbolic link. A file with a
fault, and one that is gone, change nothing: the config before it stays in force.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from twinway.config import NodeConfig
from twinway.errors import ConfigError

logger = logging.getLogger(__name__)

SETTLED_SECONDS = 1.0
"""How long a file must stay the same."""

Stamp = tuple[int, int, int, int]


class ConfigFile:
    """Notices that the file has changed, and reads it. Used from one thread."""

    def __init__(
        self, path: Path, read: Callable[[Path], NodeConfig], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`read` gives the config in a file; it raises `ConfigError`. The file as it is now has been read."""
        self._path = path
        self._read = read
        self._clock = clock
        self._taken = self._seen = _stamp(path)
        self._seen_at = clock()

    def look(self, *, at_once: bool = False) -> NodeConfig | None:
        """
        The config in the file, if the file has changed and settled; None otherwise.

        With `at_once` the file is read whether it has changed and settled or not. Raises `ConfigError`
        where the file has a fault, once for each change.
        """
        stamp, now = _stamp(self._path), self._clock()
        if stamp != self._seen:
            self._seen, self._seen_at = stamp, now
        changed = self._seen != self._taken and now - self._seen_at >= SETTLED_SECONDS
        if not (changed or at_once):
            return None
        self._taken = stamp
        return self._read(self._path)

    @property
    def unsettled(self) -> bool:
        """Whether the file has changed and is still to be read."""
        return self._seen != self._taken


def reasons(error: ConfigError) -> str:
    """The faults of a config in one line."""
    return "; ".join(str(error).splitlines())


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
