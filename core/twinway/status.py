"""What the agent is doing, as a value that every thread may read and wait for."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from twinway.driver import Health, Report
from twinway.model.node import NodeState
from twinway.rulebook import RuleBook

APPLY_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0)
"""Upper bounds, in seconds, by which applies are counted."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts since the agent's start."""

    applies: int = 0
    written: int = 0
    removed: int = 0
    repaired: int = 0
    seconds: float = 0.0
    """Time spent in applies that succeeded."""
    buckets: tuple[int, ...] = (0,) * (len(APPLY_BUCKETS) + 1)
    """Applies that succeeded, by duration; the last one holds what is above every bound."""
    errors: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Applies that failed, by kind of error."""

    def applied(self, report: Report, seconds: float) -> Tally:
        """One more apply that succeeded."""
        buckets = list(self.buckets)
        buckets[bisect_left(APPLY_BUCKETS, seconds)] += 1
        return replace(
            self,
            applies=self.applies + 1,
            written=self.written + report.written,
            removed=self.removed + report.removed,
            repaired=self.repaired + len(report.repaired),
            seconds=self.seconds + seconds,
            buckets=tuple(buckets),
        )

    def failed(self, kind: str) -> Tally:
        """One more apply that failed."""
        return replace(self, errors=MappingProxyType({**self.errors, kind: self.errors.get(kind, 0) + 1}))


@dataclass(frozen=True, slots=True)
class Status:
    """One moment of the agent. `state` is what is in force, None before the first apply."""

    node: str
    driver: str
    pid: int
    state: NodeState | None = None
    complete: bool = False
    error: str | None = None
    """Why the newest state is not in force, if it is not."""
    source_error: str | None = None
    """Why the source is out of sync; None while it is in sync."""
    source_since: float = 0.0
    """Unix time since when the source is out of sync, 0 while it is in sync. The board sets it."""
    disk_error: str | None = None
    """Why the agent's own files cannot be used; None while they can be."""
    config_error: str | None = None
    """Why the config's file is not in force: the config before it is. None while it is."""
    config_since: float = 0.0
    """Unix time since when the config's file is not in force, 0 while it is. The board sets it."""
    config_pending: tuple[str, ...] = ()
    """Keys of the config that were changed, and that the agent reads at its start alone."""
    fault_since: float = 0.0
    """Unix time since when there is a `fault`, 0 while there is none. The board sets it."""
    retiring: tuple[str, ...] = ()
    health: Health = Health(ok=False, detail="not started")  # noqa: RUF009 (frozen)
    tally: Tally = field(default_factory=Tally)
    last_success: float = 0.0
    """Unix time of the last apply that succeeded, 0 before the first."""

    @property
    def version(self) -> str | None:
        """`Cluster.version` of the state in force."""
        return self.state.version if self.state else None

    @property
    def well(self) -> bool:
        """Whether the newest state is in force, and traffic goes through the hooks."""
        return self.state is not None and self.complete and self.fault is None and self.health.ok

    @property
    def fault(self) -> str | None:
        """Why the node may not be what the cluster says, in one line; None while it is."""
        return self.error or self.source_error or self.disk_error

    def to_json(self) -> dict[str, Any]:
        """The answer of `GET /status`."""
        return {
            "node": self.node,
            "driver": self.driver,
            "pid": self.pid,
            "version": self.version,
            "complete": self.complete,
            "applies": self.tally.applies,
            "endpoints": endpoints_json(self.state),
            "rejected": [str(rejected) for rejected in self.state.rejected] if self.state else [],
            "not_served": [str(each) for each in self.state.not_served] if self.state else [],
            "error": self.fault,
            "error_since": self.fault_since or None,
            "source": {
                "synced": self.source_error is None,
                "error": self.source_error,
                "since": self.source_since or None,
            },
            "config": {
                "error": self.config_error,
                "since": self.config_since or None,
                "pending": list(self.config_pending),
            },
            "retiring": list(self.retiring),
            "health": {"ok": self.health.ok, "detail": self.health.detail},
        }


def endpoints_json(state: NodeState | None) -> list[dict[str, Any]]:
    """Pods of the node, sorted: name, addresses, and the device that the CNI chain made."""
    if state is None:
        return []
    return [
        {
            "pod": f"{ref.namespace}/{ref.name}",
            "addresses": [str(address) for address in endpoint.attachment.addresses],
            "device": endpoint.attachment.ifname,
        }
        for ref, endpoint in sorted(state.endpoints.items())
    ]


def moment(since: float) -> str:
    """A Unix time as people read it, in UTC."""
    return datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds")


class Board:
    """Where the one writer, the reconcile loop, puts the status; readers look, or wait for it."""

    def __init__(self, status: Status) -> None:
        """Start with this status."""
        self._status = status
        self._news = threading.Condition()
        self.rules = RuleBook()
        """Names of the rules that were in force since the start."""
        self._beat = time.monotonic()

    @property
    def status(self) -> Status:
        """The newest status."""
        return self._status

    def update(self, **changes: Any) -> None:
        """Replace these fields of the status and wake up who waits."""
        with self._news:
            status = replace(self._status, **changes)
            if status.fault is None or not status.fault_since:
                status = replace(status, fault_since=time.time() if status.fault else 0.0)
            if status.config_error is None or not status.config_since:
                status = replace(status, config_since=time.time() if status.config_error else 0.0)
            self._status = status
            if self._status.state is not None:
                self.rules.note(self._status.state.policy.rules)
            self._news.notify_all()

    def note_feed(self, source_error: str | None, disk_error: str | None) -> None:
        """Note why the source is out of sync, and why files cannot be used; None where all is well."""
        before = self._status
        if (source_error, disk_error) == (before.source_error, before.disk_error):
            return
        since = before.source_since if before.source_error else time.time()
        self.update(source_error=source_error, source_since=since if source_error else 0.0, disk_error=disk_error)

    def wait(self, holds: Callable[[Status], bool], timeout: float) -> tuple[bool, Status]:
        """Whether `holds` became true within `timeout` seconds, and the status seen last."""
        with self._news:
            held = self._news.wait_for(lambda: holds(self._status), timeout)
            return held, self._status

    def beat(self) -> None:
        """Note that the loop runs."""
        self._beat = time.monotonic()

    def silence(self) -> float:
        """Seconds since the loop last ran."""
        return time.monotonic() - self._beat
