"""Wait until files change: inotify on folders, bundled into moments of quiet."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from inotify_simple import Event, INotify, flags

from twinway.errors import SourceError

QUIET_SECONDS = 0.002
"""No event for this long, and a bundle of changes counts as whole."""
PATIENCE_SECONDS = 0.25
"""A bundle is not waited for longer than this, nor is a file that somebody keeps writing."""

_COMPLETE = flags.CLOSE_WRITE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE
_SELF = flags.DELETE_SELF | flags.MOVE_SELF
_MASK = _COMPLETE | _SELF | flags.CREATE | flags.MODIFY


class Watch:
    """
    Folders whose entries' changes end `wait`.

    A file that is being written counts when it is closed, so that half of it is not taken for all.
    """

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._inotify = INotify(nonblocking=True)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._folders: dict[Path, int] = {}
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._stop, select.POLLIN)
        self._stopped = False

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inotify.close()
        os.close(self._stop)

    def stop(self) -> None:
        """Let `wait` return False, from any thread."""
        os.eventfd_write(self._stop, 1)

    def folders(self, wanted: Iterable[Path]) -> None:
        """Watch these folders and no others; one that is not there is watched from above."""
        there = {_nearest(folder) for folder in wanted}
        for folder in self._folders.keys() - there:
            self._forget(folder)
        for folder in there:
            # Again even if known: the folder of that name may be another one by now.
            try:
                self._folders[folder] = self._inotify.add_watch(folder, _MASK)
            except FileNotFoundError:
                self._folders.pop(folder, None)  # gone meanwhile: the folder above tells
            except OSError as error:
                raise SourceError(f"{folder}: cannot be watched: {error.strerror}") from error

    def wait(self) -> bool:
        """Return True after the next bundle of changes, False once stopped."""
        writing: set[tuple[int, str]] = set()
        changed = False
        deadline = 0.0
        while True:
            pause = QUIET_SECONDS if not writing else max(deadline - time.monotonic(), 0.0)
            ready = dict(self._poll.poll(pause * 1000 if changed else None))
            if self._stop in ready:
                return False
            if not ready or (changed and time.monotonic() > deadline):
                return True
            for event in self._inotify.read(timeout=0):
                if _counts(event, writing):
                    deadline = deadline if changed else time.monotonic() + PATIENCE_SECONDS
                    changed = True

    def _forget(self, folder: Path) -> None:
        try:
            self._inotify.rm_watch(self._folders.pop(folder))
        except OSError:
            return  # the kernel forgot it with the folder


def _counts(event: Event, writing: set[tuple[int, str]]) -> bool:
    """Whether something is to be read again; `writing` is kept up to date."""
    file = (event.wd, event.name)
    if event.mask & (flags.MODIFY | flags.CREATE) and not event.mask & flags.ISDIR:
        # Links are complete when they are made, files when they are closed: a link is never
        # modified, and costs no more than the patience.
        writing.add(file)
        return True
    writing.discard(file)
    return bool(event.mask & ~flags.IGNORED)


def _nearest(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
