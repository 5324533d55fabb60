"""Our file among the network configs of the node: put there, kept up to date, removed."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from twinway.cni.chain import OURS, chained, config_files
from twinway.errors import ConfigError, TwinwayError
from twinway.files import remedy, write_whole
from twinway.sources.manifests.watch import Watch

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""Longest time between two looks, also where no event came."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where twinway stands after a look. `behind`: the file whose chain it ends, None where there is none."""

    behind: Path | None
    changed: bool
    """Whether our file was written or removed."""


class ConfDir:
    """A folder of network configs, `/etc/cni/net.d` on most nodes."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._ours = folder / OURS

    def put(self) -> Place:
        """
        Make our file what it should be; raises `ConfigError`.

        While the file before it cannot be read, ours stays as it is, because many plugins write theirs in place.
        """
        try:
            wanted = chained(config_files(self._folder))
            if wanted is None or not wanted.text:
                return Place(wanted.behind if wanted else None, self._remove())
            return Place(wanted.behind, self._write(wanted.text))
        except OSError as error:
            raise ConfigError(f"{error.filename or self._folder}: {error.strerror}: {remedy(error)}") from error

    def remove(self) -> bool:
        """Remove our file, and what an interrupted writer left of it; whether there was any. Raises OSError."""
        leavings = list(self._folder.glob(f".{OURS}.*")) if self._folder.is_dir() else []
        for leaving in leavings:
            leaving.unlink(missing_ok=True)
        return self._remove()

    def _write(self, text: str) -> bool:
        try:
            if self._ours.read_text(encoding="utf-8") == text:
                return False
        except (FileNotFoundError, UnicodeDecodeError):
            pass
        write_whole(self._ours, text)
        self._sync()
        return True

    def _remove(self) -> bool:
        try:
            self._ours.unlink()
        except FileNotFoundError:
            return False
        self._sync()
        return True

    # After a crash of the node the file is there, or it is not: never a runtime that starts pods past us.
    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class ConfDirFollower:
    """Keeps our file up to date in a thread of its own, whatever the plugin before us does with its file."""

    def __init__(self, folder: Path) -> None:
        """Nothing is followed before `start`."""
        self._folder = folder
        self._conf_dir = ConfDir(folder)
        self._watch = Watch()
        self._thread = Thread(target=self._run, name="cni conf_dir", daemon=True)
        self._logged = ""

    def start(self) -> None:
        """Look once, then follow."""
        self._look()
        self._thread.start()

    def close(self) -> None:
        """Follow no more; our file stays."""
        self._watch.stop()
        if self._thread.is_alive():
            self._thread.join()
        self._watch.close()

    def _run(self) -> None:
        while True:
            try:
                self._watch.follow([self._folder])
                if self._watch.wait(LOOK_SECONDS) is None:
                    return
            except TwinwayError as error:
                self._report(str(error))
                if self._watch.wait(LOOK_SECONDS) is None:
                    return
            self._look()

    def _look(self) -> None:
        try:
            place = self._conf_dir.put()
        except ConfigError as error:
            self._report(str(error))
            return
        if place.behind is None:
            self._report(f"{self._folder}: no network config yet: twinway follows the first that appears")
            return
        self._logged = ""
        if place.changed:
            logger.info("chained behind the node's network config file=%s", place.behind)

    def _report(self, reason: str) -> None:
        if reason != self._logged:
            logger.warning("not chained reason=%r", reason)
        self._logged = reason
