"""What the loop is fed with: the newest snapshot of the cluster, and the pods that CNI attached."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twinway.attachments import Attachments
from twinway.bell import Bell
from twinway.files import remedy
from twinway.model.cluster import Cluster
from twinway.reconcile import Inputs
from twinway.sources.base import Latest, Source


class NodeFeed:
    """The inputs of one node's loop. `newest` is called from the loop's thread alone."""

    def __init__(
        self,
        source: Source,
        attachments: Attachments,
        bell: Bell,
        deleted: Path,
        upkeep: Callable[[], str | None] = lambda: None,
    ) -> None:
        """
        `deleted` is where the CNI plugin leaves a note when a pod goes while the agent is away.

        `upkeep` is called at each pass of the loop; it returns what is wrong with the agent's files.
        """
        self._upkeep = upkeep
        self.disk_error: str | None = None
        """Why files of the agent's run_dir cannot be read or written; None while they can be."""
        self.bell = bell
        self._source = source
        self._attachments = attachments
        self._slot: Latest[Cluster] = Latest(bell.ring)
        self._deleted = deleted
        self._cluster: Cluster | None = None
        self._newest: Inputs | None = None

    @property
    def error(self) -> str | None:
        """Why the source is out of sync; None while it is in sync."""
        return self._source.error

    def start(self) -> None:
        """Begin to follow the source."""
        self._source.start(self._slot)

    def stop(self) -> None:
        """Follow no more."""
        self._source.stop()

    def cluster(self) -> Cluster | None:
        """The newest snapshot, None before the first. To be called from the loop's thread, too."""
        self._cluster = self._slot.get(timeout=0) or self._cluster
        return self._cluster

    def newest(self) -> Inputs | None:
        """The newest inputs, None before the first snapshot; the same object while nothing changed."""
        self.disk_error = self._upkeep() or self._honour_notes()
        if (cluster := self.cluster()) is None:
            return None
        inputs = Inputs(cluster, self._attachments.current())
        if self._newest is None or not _same(inputs, self._newest):
            self._newest = inputs
        return self._newest

    # The loop goes on whatever becomes of the disk: the note stays, and is honoured later.
    def _honour_notes(self) -> str | None:
        try:
            honour_notes(self._deleted, self._attachments.forget_container)
        except OSError as error:
            return f"run_dir: {error.filename}: {error.strerror}: {remedy(error)}"
        return None


def honour_notes(folder: Path, forget: Callable[[str], bool]) -> None:
    """Forget each container that a note in `folder` is named after, and remove the note."""
    for note in sorted(folder.iterdir()):
        forget(note.name)
        note.unlink(missing_ok=True)


def _same(one: Inputs, other: Inputs) -> bool:
    return one.cluster is other.cluster and one.attachments == other.attachments
