"""
The loop that makes the node be what the cluster says: newest input in, `driver.apply`, status out.

One thread, `run`, is the only one that touches the driver. `step` does what is due now and says
when the next thing will be; it never waits, so that tests drive it with a clock of their own.

* Latest wins: inputs that come during an apply are skipped but for the newest.
* On a `DriverError`, or an `OSError` that a driver let through, the last good state stays in
  force; the newest state is tried again after a pause that doubles, with jitter, up to
  `Pacing.longest_pause`. What failed half-way may have left a part, so that try compares with the
  kernel (`Change.repair`).
* When a probe of the hooks fails, the kernel is compared with the state at once, and after pauses
  that double as long as the next probes fail, too.
* A snapshot that is not complete removes nothing (`Change.complete`), and is no base for a later
  difference: the next complete state is compared with the kernel.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from twinway.bell import Bell
from twinway.collector import settle_heap
from twinway.driver import Change, Driver, Health, Report
from twinway.errors import DriverError, TwinwayError
from twinway.model.cluster import Cluster
from twinway.model.node import Attachment, NodeState
from twinway.reporting import FaultLog
from twinway.status import Board

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that compute is given, at one moment."""

    cluster: Cluster
    attachments: tuple[Attachment, ...] = ()


class Feed(Protocol):
    """Where inputs come from; rings the bell when there are new ones."""

    bell: Bell

    @property
    def error(self) -> str | None:
        """Why the source is out of sync; None while it is in sync."""

    @property
    def disk_error(self) -> str | None:
        """Why the agent's own files cannot be used; None while they can be."""

    def newest(self) -> Inputs | None:
        """The newest inputs, None before the first; the same object as long as nothing changed."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """When the loop does things, in seconds, and by which clock."""

    resync: float = 60.0
    """Between two comparisons of the kernel with the state in force."""
    health: float = 5.0
    """Between two probes of the hooks."""
    calm: float = 0.05
    """After an apply with no other behind it, until the driver may catch up."""
    first_pause: float = 0.25
    """After a first failed apply; doubles with each further one."""
    longest_pause: float = 30.0
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    """From 0 to 1: agents that failed together must not come back together."""

    def pause(self, failures: int) -> float:
        """How long to wait after that many failures in a row: half of it fixed, half by chance."""
        longest = min(self.first_pause * 2.0 ** (failures - 1), self.longest_pause)
        return longest * (1.0 + self.jitter()) / 2.0


class Reconciler:
    """The loop of one driver, which must have been started."""

    def __init__(  # noqa: PLR0913 (the ends that it ties together)
        self,
        driver: Driver,
        board: Board,
        feed: Feed,
        *,
        compute: Callable[[Inputs], NodeState],
        retire: Callable[[], tuple[str, ...]],
        pacing: Pacing,
    ) -> None:
        """
        Tie the ends together; nothing happens yet.

        `compute` is pure; `retire` lets earlier drivers go on with leaving and names those that
        are still there.
        """
        self._driver = driver
        self._board = board
        self._feed = feed
        self._compute = compute
        self._retire = retire
        self._pacing = pacing
        self._questions: deque[tuple[Future[Any], Callable[[Driver], Any]]] = deque()
        self._computed: tuple[Inputs, NodeState] | None = None
        self._faults = FaultLog()
        self._applied: tuple[NodeState, bool] | None = None
        self._failures = 0
        self._ill = 0
        self._calm_at: float | None = None
        self._retry_at = self._repair_at = self._health_at = pacing.clock()

    def run(self, prepare: Callable[[], float] = lambda: math.inf) -> None:
        """
        Run until the bell is closed.

        `prepare` is called before each pass, in the same thread. It returns after how many seconds at most it must
        be called again.
        """
        bell = self._feed.bell
        while not bell.closed:
            soon = prepare()
            bell.wait(min(self.step(), soon))

    def take(self, driver: Driver) -> None:
        """Go on with this driver, which has been started: the next pass gives it the whole state."""
        self._driver = driver
        self._applied = None
        self._failures = 0
        self._calm_at = None
        self._health_at = self._pacing.clock()

    def pace(self, resync: float) -> None:
        """Compare the kernel with the state in force every `resync` seconds from now on."""
        self._pacing = replace(self._pacing, resync=resync)
        self._repair_at = min(self._repair_at, self._pacing.clock() + resync)

    def ask(self, question: Callable[[Driver], Answer], timeout: float = 10.0) -> Answer:
        """What the driver answers, asked in the loop's own thread between two applies."""
        future: Future[Answer] = Future()
        self._questions.append((future, question))
        self._feed.bell.ring()
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise TwinwayError(f"the agent is busy for more than {timeout:g} s: try again later") from error

    def step(self) -> float:
        """Do what is due; seconds until the next thing will be."""
        self._board.beat()
        self._answer()
        self._board.note_feed(self._feed.error, self._feed.disk_error)
        clock = self._pacing.clock
        if (inputs := self._feed.newest()) is not None:
            self._pursue(inputs)
        if self._calm_at is not None and clock() >= self._calm_at:
            self._catch_up()
        if clock() >= self._health_at:
            self._probe()
            if self._applied:
                self._board.update(retiring=self._retire())
        due = [self._health_at]
        if self._failures:
            due.append(self._retry_at)
        elif self._applied:
            due.append(self._repair_at)
        if self._calm_at is not None:
            due.append(self._calm_at)
        return min(due) - clock()

    def _pursue(self, inputs: Inputs) -> None:
        now = self._pacing.clock()
        if self._failures and now < self._retry_at:
            return
        try:
            state = self._desired(inputs)
        except TwinwayError as error:
            self._fail(error, inputs.cluster.version)
            return
        known = self._applied is not None and self._applied == (state, inputs.cluster.complete)
        repair = bool(self._failures) or (self._applied is not None and now >= self._repair_at)
        if known and not repair:
            return
        state_before, whole = self._applied or (None, False)
        previous = state_before if whole else None
        self._apply(Change(state, previous, complete=inputs.cluster.complete, repair=repair))

    def _desired(self, inputs: Inputs) -> NodeState:
        if self._computed is None or self._computed[0] is not inputs:
            self._computed = (inputs, self._compute(inputs))
            self._faults.report(self._computed[1])
        return self._computed[1]

    def _apply(self, change: Change) -> None:
        clock = self._pacing.clock
        began = clock()
        try:
            report = self._driver.apply(change)
        except (DriverError, OSError) as error:
            self._fail(error, change.state.version)
            return
        seconds = clock() - began
        idle = not self._failures and change.state == change.previous and report == Report()
        self._failures = 0
        self._applied = (change.state, change.complete)
        self._repair_at = clock() + self._pacing.resync
        self._board.update(
            state=change.state,
            complete=change.complete,
            error=None,
            retiring=self._retire(),
            tally=self._board.status.tally.applied(report, seconds),
            last_success=time.time(),
        )
        _log_apply(change, report, seconds, logging.DEBUG if idle else logging.INFO)
        settle_heap(whole=change.repair or change.previous is None)
        self._calm_at = clock() + self._pacing.calm

    def _catch_up(self) -> None:
        self._calm_at = None
        try:
            pause = self._driver.catch_up()
        except (DriverError, OSError) as error:
            # what the driver believes of the kernel may be wrong now: the next apply reads it back
            self._fail(error, self._board.status.version or "")
            return
        if pause is not None:
            self._calm_at = self._pacing.clock() + pause

    def _fail(self, error: Exception, version: str) -> None:
        self._failures += 1
        self._calm_at = None
        pause = self._pacing.pause(self._failures)
        self._retry_at = self._pacing.clock() + pause
        tally = self._board.status.tally.failed(type(error).__name__)
        self._board.update(error=str(error), tally=tally)
        logger.warning(
            "apply failed, last good state stays version=%s error=%r retry_seconds=%.2f",
            version,
            str(error),
            pause,
        )

    def _probe(self) -> None:
        before = self._board.status.health
        try:
            health = self._driver.health()
        except (DriverError, OSError) as error:
            health = Health(ok=False, detail=str(error))
        if health.ok != before.ok:
            level = logging.INFO if health.ok else logging.WARNING
            logger.log(level, "health of the hooks changed ok=%s detail=%r", health.ok, health.detail)
        self._board.update(health=health)
        self._health_at = self._pacing.clock() + self._pacing.health
        if health.ok:
            self._ill = 0
        elif self._applied and not self._failures:
            self._mend()

    # The first time at once; what a repair does not heal is not to be all that the loop does. How it went is
    # asked right after it.
    def _mend(self) -> None:
        now = self._pacing.clock()
        self._repair_at = min(self._repair_at, now + self._pacing.pause(self._ill) if self._ill else now)
        self._health_at = min(self._health_at, self._repair_at)
        self._ill += 1

    def _answer(self) -> None:
        while self._questions:
            future, question = self._questions.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(question(self._driver))
            except (TwinwayError, OSError) as error:
                future.set_exception(error)


def _log_apply(change: Change, report: Report, seconds: float, level: int) -> None:
    for line in report.repaired:
        logger.warning("found changed behind the driver, put right what=%r", line)
    logger.log(
        level,
        "applied version=%s written=%d removed=%d rejected=%d ms=%.1f",
        change.state.version,
        report.written,
        report.removed,
        len(change.state.rejected),
        seconds * 1000,
    )
