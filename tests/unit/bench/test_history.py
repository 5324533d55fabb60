"""Which outcome policy that keeps changing lets an attempt have."""

from __future__ import annotations

import pytest

from twinway_bench.churn import Attempt, History, Moment, span, sufficient

OPEN_AT_10 = History({(0, 0): [Moment(0, 0.1, allowed=False), Moment(10, 10.1, allowed=True)]})


@pytest.mark.parametrize(
    ("begun", "ended", "due"),
    [
        (5, 6, {False}),
        (9.5, 9.99, {False}),
        (9.5, 10.0, {False, True}),
        (10.2, 10.3, {False, True}),
        (11.0, 11.05, {False, True}),
        (11.2, 12, {True}),
    ],
)
def test_old_policy_may_judge_for_a_second(begun: float, ended: float, due: set[bool]) -> None:
    """From a change on both states may be met, until a second after it was written, then the new one alone."""
    assert OPEN_AT_10.possible(Attempt(0, 0, begun, ended, stood=True), 1.0) == due


def test_sufficient_window_is_the_longest_delay() -> None:
    """The least window that explains every outcome is the delay of the latest one that followed the old policy."""
    late = [Attempt(0, 0, 10.1 + delay, 10.2 + delay, stood=False) for delay in (0.0, 0.05, 0.4)]
    assert sufficient(OPEN_AT_10, late) == pytest.approx(0.4)
    assert sufficient(OPEN_AT_10, [Attempt(0, 0, 5, 6, stood=True)]) == float("inf")


def test_the_span_is_when_all_clients_made_attempts() -> None:
    """A client that comes late or leaves early ends the span, so that its absence is not taken for a slow load."""
    times = {0: (1, 2, 9), 1: (3, 4, 8)}
    attempts = [Attempt(client, 0, at, at, stood=True) for client, begun in times.items() for at in begun]
    assert span(attempts) == (3, 8)
