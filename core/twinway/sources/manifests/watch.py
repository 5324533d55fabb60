"""Wait until files change: inotify on folders, events bundled into moments of quiet."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from inotify_simple import Event, INotify, flags

from twinway.errors import SourceError

QUIET_SECONDS = 0.001
"""No event for this long, and a bundle of changes counts as whole."""
LEAVING_SECONDS = 0.02
"""The same where something went: who removes a folder removes file by file, and may not be done."""
PATIENCE_SECONDS = 0.25
"""A bundle is not waited for longer than this."""

_OPENED = flags.CREATE | flags.MODIFY
_MASK = (
    _OPENED
    | flags.CLOSE_WRITE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
)
_LEFT = flags.MOVED_FROM | flags.DELETE | flags.DELETE_SELF | flags.MOVE_SELF
_EVERYTHING = Path("/")
"""Stands for changes of which nobody knows where they were."""


class Watch:
    """Folders whose entries' changes end `wait`. One thread waits; any may `stop` it."""

    def __init__(self, open_seconds: float = 0.0) -> None:
        """Watch nothing yet. A file that somebody writes to counts after `open_seconds`, closed or not."""
        self._open_seconds = max(open_seconds, PATIENCE_SECONDS)
        self._writing: dict[Path, float] = {}
        self._left = False
        self._inotify = INotify(nonblocking=True)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._folders: dict[int, Path] = {}
        self._poll = select.poll()
        self._poll.register(self._inotify.fileno(), select.POLLIN)
        self._poll.register(self._stop, select.POLLIN)

    def close(self) -> None:
        """Let go of all; nobody may wait any more."""
        self._inotify.close()
        os.close(self._stop)

    def stop(self) -> None:
        """Let `wait` return None, now or when it is called next."""
        os.eventfd_write(self._stop, 1)

    def follow(self, folders: Iterable[Path]) -> bool:
        """
        Watch these folders and no others, and whether one of them was not watched before.

        A folder that is not there is watched for from above.
        """
        there = {_nearest(folder) for folder in folders}
        watched = dict(self._add(sorted(there)))
        for descriptor in self._folders.keys() - watched.keys():
            self._remove(descriptor)
        fresh = bool(watched.keys() - self._folders.keys())
        self._folders = watched
        return fresh

    @property
    def unsettled(self) -> frozenset[Path]:
        """The files that somebody has opened and written to, and not closed."""
        return frozenset(self._writing)

    def wait(self, seconds: float | None = None) -> frozenset[Path] | None:
        """
        The paths at which something changed, bundled; none after so many seconds; None once stopped.

        A file that is written in place counts when it is closed, so that half of it is not taken
        for all; one that stays open is `unsettled` for a while, and the others do not wait for it.
        """
        touched: set[Path] = set()
        deadline = 0.0
        self._left = False
        while True:
            pause = self._pause(deadline) if touched else self._until_settled(seconds)
            ready = {descriptor for descriptor, _ in self._poll.poll(None if pause is None else pause * 1000)}
            if self._stop in ready:
                return None
            if not ready or (touched and time.monotonic() > deadline):
                return frozenset(touched | self._overdue()) - self.unsettled
            for event in self._inotify.read(timeout=0):
                deadline = deadline if touched else time.monotonic() + PATIENCE_SECONDS
                self._note(event, touched)

    def _pause(self, deadline: float) -> float:
        if self._writing:
            return max(deadline - time.monotonic(), 0.0)
        return LEAVING_SECONDS if self._left else QUIET_SECONDS

    def _until_settled(self, seconds: float | None) -> float | None:
        if not self._writing:
            return seconds
        due = max(min(self._writing.values()) - time.monotonic(), 0.0)
        return due if seconds is None else min(due, seconds)

    def _overdue(self) -> set[Path]:
        now = time.monotonic()
        overdue = {path for path, end in self._writing.items() if end <= now}
        for path in overdue:
            del self._writing[path]
        return overdue

    def _note(self, event: Event, touched: set[Path]) -> None:
        if event.mask & flags.Q_OVERFLOW:
            touched.add(_EVERYTHING)
        folder = self._folders.get(event.wd)
        if folder is None or event.mask & flags.IGNORED:
            return
        path = folder / event.name if event.name else folder
        touched.add(path)
        self._left |= bool(event.mask & _LEFT) and not path.name.startswith(".")
        if event.mask & flags.ISDIR:
            return
        if event.mask & _OPENED and not path.is_symlink():
            self._writing.setdefault(path, time.monotonic() + self._open_seconds)
        else:
            self._writing.pop(path, None)

    def _add(self, folders: Iterable[Path]) -> Iterator[tuple[int, Path]]:
        for folder in folders:
            # Again even if it is watched: another folder may have taken this path.
            try:
                yield self._inotify.add_watch(folder, _MASK), folder
            except FileNotFoundError:
                continue  # gone meanwhile; whoever lists the folders sees that, too
            except OSError as error:
                raise SourceError(f"{folder}: cannot be watched: {error.strerror}") from error

    def _remove(self, descriptor: int) -> None:
        try:
            self._inotify.rm_watch(descriptor)
        except OSError:
            return  # the kernel forgot it together with the folder


def _nearest(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
