"""The loop, driven step by step with a clock that tests move."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import FakeDriver, FakeOptions, fake_context
from tests.unit.states import attachment, compute_named, inputs
from twinway.bell import Bell
from twinway.errors import DriverError, MapError, TwinwayError
from twinway.reconcile import Inputs, Pacing, Reconciler
from twinway.status import Board, Status

FULL = MapError("tw_backend_v1", "update", "full: raise its size")


@dataclass
class Feed:
    """Inputs that the test puts in by hand."""

    value: Inputs | None = None
    bell: Bell = field(default_factory=Bell)
    error: str | None = None
    disk_error: str | None = None

    def newest(self) -> Inputs | None:
        return self.value


class Loop:
    """A reconciler with everything around it, and the time."""

    def __init__(self, folder: Path, jitter: float = 1.0) -> None:
        self.now = 100.0
        self.driver = FakeDriver(fake_context(folder), FakeOptions())
        self.driver.start()
        self.feed = Feed()
        self.board = Board(Status(node="n1", driver="fake", pid=1))
        self.leaving: tuple[str, ...] = ("old",)
        self.reconciler = Reconciler(
            self.driver,
            self.board,
            self.feed,
            compute=compute_named,
            retire=lambda: self.leaving,
            pacing=Pacing(resync=60.0, calm=0.5, clock=lambda: self.now, jitter=lambda: jitter),
        )

    def give(self, value: Inputs) -> float:
        """New inputs, and one step."""
        self.feed.value = value
        return self.reconciler.step()

    def later(self, seconds: float) -> float:
        """Time passes, then one step."""
        self.now += seconds
        return self.reconciler.step()

    @property
    def applied(self) -> list[str]:
        """Versions given to the driver, in order."""
        return [change.state.version for change in self.driver.changes]


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


def test_nothing_before_first_inputs(loop: Loop) -> None:
    """Without inputs the driver is given nothing."""
    loop.reconciler.step()
    assert loop.applied == []
    assert loop.board.status.version is None


def test_first_inputs_are_applied(loop: Loop) -> None:
    """The first inputs reach the driver as a whole state, and the status says so."""
    loop.give(inputs("a+b"))
    change = loop.driver.changes[0]
    assert (change.state.version, change.previous, change.complete, change.repair) == ("a+b", None, True, False)
    assert loop.board.status.version == "a+b"
    assert loop.board.status.well


def test_previous_is_the_last_success(loop: Loop) -> None:
    """A change carries the state of the last apply that succeeded, whatever failed in between."""
    loop.give(inputs("a"))
    loop.driver.failures = [FULL]
    loop.give(inputs("a+b"))
    loop.feed.value = inputs("a+c")
    loop.later(10)
    previous = loop.driver.changes[-1].previous
    assert previous is not None
    assert previous.version == "a"


def test_unchanged_inputs_are_not_applied_again(loop: Loop) -> None:
    """A step without news gives the driver nothing."""
    loop.give(inputs("a"))
    loop.later(1)
    assert loop.applied == ["a"]


def test_second_apply_writes_nothing(loop: Loop) -> None:
    """The same objects under a new version are applied, and write nothing."""
    loop.give(inputs("a"))
    written = loop.board.status.tally.written
    loop.give(inputs("a+a"))
    assert loop.board.status.tally.written == written
    assert loop.board.status.tally.applies == 2


def test_latest_wins(loop: Loop) -> None:
    """Inputs that are replaced before the loop runs are never computed."""
    loop.feed.value = inputs("a")
    loop.feed.value = inputs("b")
    loop.give(inputs("c"))
    assert loop.applied == ["c"]


def test_no_removal_before_sync(loop: Loop) -> None:
    """What an incomplete source lacks stays in the kernel until the source is complete."""
    loop.driver.kernel.entries["Service shop/old"] = "from an earlier process"
    loop.give(inputs("a", complete=False))
    assert "Service shop/old" in loop.driver.kernel.entries
    assert not loop.board.status.complete
    loop.give(inputs("a", complete=True))
    assert "Service shop/old" not in loop.driver.kernel.entries
    assert loop.board.status.complete


def test_failure_keeps_the_last_good_state(loop: Loop) -> None:
    """A failed apply leaves version and kernel as they were, and reports why."""
    loop.give(inputs("a"))
    loop.driver.failures = [FULL]
    loop.give(inputs("a+b"))
    status = loop.board.status
    assert status.version == "a"
    assert status.error == str(FULL)
    assert not status.well
    assert status.tally.errors == {"MapError": 1}


def test_error_of_the_system_is_a_failure_like_any_other(loop: Loop) -> None:
    """An OSError that a driver lets through is retried, too, and harms nothing."""
    loop.driver.failures = [OSError(24, "Too many open files")]
    pause = loop.give(inputs("a"))
    assert loop.board.status.error == "[Errno 24] Too many open files"
    loop.later(pause)
    assert loop.board.status.version == "a"


def test_retry_takes_the_newest_and_reads_the_kernel(loop: Loop) -> None:
    """After a failure the newest inputs are tried, compared with the kernel, and the error is gone."""
    loop.driver.failures = [FULL]
    pause = loop.give(inputs("a"))
    loop.feed.value = inputs("b")
    loop.later(pause)
    assert loop.applied == ["a", "b"]
    assert loop.driver.changes[-1].repair
    assert loop.board.status.error is None


def test_pause_doubles_up_to_the_cap() -> None:
    """Pauses after failures double from the first and end at the longest."""
    pacing = Pacing(jitter=lambda: 1.0)
    pauses = [pacing.pause(failures) for failures in (1, 2, 3, 7, 8, 60)]
    assert pauses == [0.25, 0.5, 1.0, 16.0, 30.0, 30.0]


def test_failures_in_a_row_wait_longer(loop: Loop) -> None:
    """Each failure in a row doubles the pause, and a success resets it."""
    loop.driver.failures = [FULL, FULL]
    assert loop.give(inputs("a")) == 0.25
    assert loop.later(0.25) == 0.5
    loop.later(0.5)
    loop.driver.failures = [FULL]
    assert loop.give(inputs("b")) == 0.25


@pytest.mark.parametrize(("jitter", "pause"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_jitter_takes_up_to_half(jitter: float, pause: float) -> None:
    """Chance decides half of a pause."""
    assert Pacing(first_pause=1.0, jitter=lambda: jitter).pause(1) == pause


def test_no_try_during_the_pause(loop: Loop) -> None:
    """New inputs during a pause wait for its end."""
    loop.driver.failures = [FULL]
    pause = loop.give(inputs("a"))
    loop.give(inputs("b"))
    loop.later(pause / 2)
    assert loop.applied == ["a"]


def test_periodic_repair(loop: Loop) -> None:
    """After the resync time the driver is reported to compare with the kernel, and repairs it."""
    loop.give(inputs("a"))
    loop.driver.kernel.entries.clear()
    loop.later(61)
    assert loop.driver.changes[-1].repair
    assert loop.board.status.tally.repaired == 1
    assert list(loop.driver.kernel.entries) == ["Service shop/a"]


def test_step_says_when_it_is_due(loop: Loop) -> None:
    """A step asks to be woken to catch up, for the next probe, or for the retry if that is sooner."""
    assert loop.give(inputs("a")) == 0.5
    assert loop.later(0.5) == 4.5
    loop.driver.failures = [FULL]
    assert loop.give(inputs("b")) == 0.25


def test_driver_catches_up_in_a_calm(loop: Loop) -> None:
    """Once after an apply, when no other came for a moment."""
    loop.give(inputs("a"))
    loop.later(0.25)
    loop.give(inputs("b"))
    loop.later(0.25)
    assert loop.driver.caught_up == 0
    loop.later(0.25)
    loop.later(1)
    assert loop.driver.caught_up == 1


def test_driver_asks_for_more_time(loop: Loop) -> None:
    """It is called again after as long as it said, and not before; another apply starts over."""
    loop.driver.pauses = [2.0, 0.0, 2.0]
    loop.give(inputs("a"))
    assert loop.later(0.5) == 2.0
    loop.later(1.75)
    assert loop.driver.caught_up == 1
    assert loop.later(0.25) == 0.0
    assert loop.later(0.0) == 2.0
    assert loop.driver.caught_up == 3
    loop.give(inputs("b"))
    loop.later(0.5)
    assert loop.driver.caught_up == 4
    loop.later(2.0)
    assert loop.driver.caught_up == 4


def test_driver_does_not_catch_up_after_a_failure(loop: Loop) -> None:
    """What the kernel holds is not known then."""
    loop.give(inputs("a"))
    loop.driver.failures = [FULL, FULL]
    loop.give(inputs("b"))
    loop.later(0.5)
    assert loop.driver.caught_up == 0


def test_failure_to_catch_up_is_repaired(loop: Loop) -> None:
    """It is reported, and the next apply compares with the kernel."""
    loop.give(inputs("a"))
    loop.driver.trouble = FULL
    pause = loop.later(0.5)
    assert loop.board.status.error == str(FULL)
    loop.driver.trouble = None
    loop.later(pause)
    assert loop.driver.changes[-1].repair
    assert loop.board.status.error is None


def test_a_partial_state_is_no_base_for_a_difference(loop: Loop) -> None:
    """The driver did a part of it only: the complete state after it has no previous one, and is compared."""
    loop.give(inputs("a"))
    loop.give(inputs("a+b", complete=False))
    loop.give(inputs("a+c"))
    loop.give(inputs("a"))
    previous = [change.previous.version if change.previous else None for change in loop.driver.changes]
    assert previous == [None, "a", None, "a+c"]


def test_source_error_is_reported_and_harms_nothing(loop: Loop) -> None:
    """A source that is out of sync shows in the status, with the time; the state in force stays."""
    loop.give(inputs("a"))
    loop.feed.error = "shop.yaml: no YAML"
    loop.later(1)
    status = loop.board.status
    assert (status.version, status.fault, status.well) == ("a", "shop.yaml: no YAML", False)
    since = status.source_since
    loop.feed.error = "shop.yaml: no such file"
    loop.later(1)
    assert loop.board.status.source_since == since > 0
    loop.feed.error = None
    loop.later(1)
    assert loop.board.status.well
    assert loop.board.status.source_since == 0


def test_health_is_polled_and_reported(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """A probe that fails shows in the status and is logged once."""
    loop.give(inputs("a"))
    loop.driver.healthy = False
    with caplog.at_level(logging.WARNING):
        loop.later(6)
        loop.later(6)
    assert not loop.board.status.health.ok
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_attachment_alone_is_news(loop: Loop) -> None:
    """A new pod is applied though the cluster did not change."""
    loop.give(inputs("a"))
    pod = attachment("web")
    loop.give(inputs("a", attachments=(pod,)))
    in_force = loop.board.status.state
    assert in_force is not None
    assert [endpoint.attachment for endpoint in in_force.endpoints.values()] == [pod]


def test_earlier_drivers_wait_for_the_first_apply(loop: Loop) -> None:
    """Nobody is asked to leave before this driver serves a state."""
    loop.reconciler.step()
    assert not loop.board.status.retiring
    loop.give(inputs("a"))
    assert loop.board.status.retiring == ("old",)
    loop.leaving = ()
    loop.later(5)
    assert not loop.board.status.retiring


def test_one_line_an_apply(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """An apply is reported in one INFO line with what it did."""
    with caplog.at_level(logging.INFO, "twinway.reconcile"):
        loop.give(inputs("a+b"))
    line = caplog.messages[0]
    assert line.startswith("applied version=a+b written=2 removed=0 rejected=0 ms=")


def test_a_resync_that_changed_nothing_is_no_news(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """It is reported at DEBUG; after a failure it is, for then it is what ends the failure."""
    loop.give(inputs("a"))
    with caplog.at_level(logging.INFO, "twinway.reconcile"):
        loop.later(60.0)
        assert loop.applied == ["a", "a"]
        assert not [line for line in caplog.messages if line.startswith("applied")]
        loop.driver.failures = [FULL]
        loop.later(60.0)
        loop.later(60.0)
    assert [line.partition(" version")[0] for line in caplog.messages if "version" in line] == [
        "apply failed, last good state stays",
        "applied",
    ]


def test_questions_are_answered_in_the_loops_thread(loop: Loop) -> None:
    """A question from another thread is put to the driver by the loop, and its error comes back."""
    thread = threading.Thread(target=loop.reconciler.run)
    thread.start()
    try:
        assert loop.reconciler.ask(lambda _driver: threading.current_thread()) is thread
        with pytest.raises(DriverError, match="gone"):
            loop.reconciler.ask(_fail)
    finally:
        loop.feed.bell.close()
        thread.join(10)
    assert not thread.is_alive()


def test_question_to_a_busy_loop_ends(loop: Loop) -> None:
    """A question that nobody answers ends with one line."""
    with pytest.raises(TwinwayError, match="busy"):
        loop.reconciler.ask(lambda driver: driver.dump(), timeout=0.01)
    loop.reconciler.step()


def _fail(_driver: object) -> None:
    raise DriverError("map gone")


def test_failed_health_is_mended_at_once(loop: Loop) -> None:
    """Hooks that a probe finds missing are put back without waiting for the next resync, and asked about again."""
    loop.give(inputs("a"))
    loop.driver.healthy = False
    assert loop.later(5) == 0
    loop.driver.healthy = True
    loop.later(0)
    assert [change.repair for change in loop.driver.changes] == [False, True]
    assert loop.board.status.health.ok


def test_health_that_stays_failed_is_mended_less_and_less(loop: Loop) -> None:
    """What a repair does not heal is tried again after pauses that double, and the status says so."""
    loop.give(inputs("a"))
    loop.driver.healthy = False
    loop.later(5)
    began = loop.now
    repaired: list[float] = []
    for _ in range(80):
        before = len(loop.driver.changes)
        loop.later(0.25 if repaired else 0)
        repaired += [loop.now - began] * (len(loop.driver.changes) - before)
    assert repaired == [0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75]
    assert not loop.board.status.well
