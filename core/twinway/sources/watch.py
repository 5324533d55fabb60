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
PATIENCE_SECONDS = 0.25
"""A bundle is not waited for longer than this, nor is a file that somebody keeps writing."""

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
_EVERYTHING = Path("/")
"""Stands for changes of which nobody knows where they were."""


class Watch:
    """Folders whose entries' changes end `wait`. One thread waits; any may `stop` it."""

    def __init__(self) -> None:
        """Watch nothing yet."""
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

    def wait(self, seconds: float | None = None) -> frozenset[Path] | None:
        """
        The paths at which something changed, bundled; none after so many seconds; None once stopped.

        A file that is written in place counts when it is closed, so that half of it is not taken
        for all.
        """
        touched: set[Path] = set()
        writing: set[Path] = set()
        deadline = 0.0
        while True:
            pause = _pause(writing, deadline) if touched else seconds
            ready = {descriptor for descriptor, _ in self._poll.poll(None if pause is None else pause * 1000)}
            if self._stop in ready:
                return None
            if not ready or (touched and time.monotonic() > deadline):
                return frozenset(touched)
            for event in self._inotify.read(timeout=0):
                deadline = deadline if touched else time.monotonic() + PATIENCE_SECONDS
                self._note(event, touched, writing)

    def _note(self, event: Event, touched: set[Path], writing: set[Path]) -> None:
        if event.mask & flags.Q_OVERFLOW:
            touched.add(_EVERYTHING)
        folder = self._folders.get(event.wd)
        if folder is None or event.mask & flags.IGNORED:
            return
        path = folder / event.name if event.name else folder
        touched.add(path)
        if event.mask & flags.ISDIR:
            return
        if event.mask & _OPENED and not path.is_symlink():
            writing.add(path)
        else:
            writing.discard(path)

    def _add(self, folders: Iterable[Path]) -> Iterator[tuple[int, Path]]:
        for folder in folders:
            # Again even if it is watched: there may be another folder at this path by now.
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


def _pause(writing: set[Path], deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.0) if writing else QUIET_SECONDS


def _nearest(folder: Path) -> Path:
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder
