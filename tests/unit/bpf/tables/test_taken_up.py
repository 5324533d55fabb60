"""
Policy that a killed process left half changed, and that the next process completes.

A process may be killed at any write. The next one reads what it left, and completes it or changes to another
state. In between, no connection is allowed that none of the states allows.
"""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bpf import reader
from tests.unit.bpf.policies import (
    PEERS,
    PODS,
    Answers,
    Process,
    answers,
    ending_at_once,
    expected,
    is_open,
    policy_of,
    states,
)
from tests.unit.bpf.recording import Contents, Killed, Log, contents, recorded, replayed
from twinway.errors import MapError
from twinway.model.node import Action, ClassId, NodeState
from twinway.model.policy import Direction


def _cut_off(process: Process, log: Log, state: NodeState, step: int, end: BaseException) -> bool:
    """Raise `end` after `step` writes of a state. False if the state needs no more writes than that."""
    with log.ending(step, end):
        try:
            process.apply(state)
        except type(end):
            return True
    return False


def check_way(before: Contents, log: Log, done: int, involved: list[NodeState]) -> None:
    """Check that after write `done`, nothing was allowed that no state allows, and that the last is in force."""
    allowed = [expected(state) for state in involved]
    found: Answers = {}
    for now in replayed(before, log.writes[done:]):
        found = answers(now)
        for question, answer in found.items():
            assert not is_open(answer) or any(is_open(each[question]) for each in allowed), question
    assert found == allowed[-1]


steps = st.integers(0, 20)


@pytest.mark.parametrize("at_once", [0, 256])
@settings(max_examples=100, deadline=None)
@given(earlier=st.lists(states(), min_size=1, max_size=2), new=states(), other=states() | st.none(), step=steps)
def test_after_a_kill(
    *, at_once: int, earlier: list[NodeState], new: NodeState, other: NodeState | None, step: int
) -> None:
    """A process is killed at any write, and the next one puts the same or another state in force."""
    log = Log()
    with recorded(log) as maps, ending_at_once(at_once):
        process = Process(maps)
        for state in earlier:
            process.apply(state)
        _cut_off(process, log, new, step, Killed())
        before, done = contents(maps), len(log.writes)
        last = other or new
        Process(maps).apply(last)
        check_way(before, log, done, [earlier[-1], new, last])


@pytest.mark.parametrize("at_once", [0, 256])
@settings(max_examples=60, deadline=None)
@given(earlier=st.lists(states(), min_size=2, max_size=3), new=states(), step=steps)
def test_after_a_kill_while_catching_up(
    *, at_once: int, earlier: list[NodeState], new: NodeState, step: int
) -> None:
    """A process is killed while it catches up, and the next one puts another state in force."""
    log = Log()
    with recorded(log) as maps, ending_at_once(at_once):
        process = Process(maps)
        for state in earlier:
            process.apply(state)
        with log.ending(step, Killed()), contextlib.suppress(Killed):
            process.catch_up()
        before, done = contents(maps), len(log.writes)
        Process(maps).apply(new)
        check_way(before, log, done, [earlier[-1], new])


@settings(max_examples=60, deadline=None)
@given(states(), states(), states(), steps, steps)
def test_after_a_kill_while_taking_up(
    old: NodeState, new: NodeState, last: NodeState, step: int, other: int
) -> None:
    """The successor of a killed process is killed, too, and a third one completes the change."""
    log = Log()
    with recorded(log) as maps:
        process = Process(maps)
        process.apply(old)
        _cut_off(process, log, new, step, Killed())
        _cut_off(Process(maps), log, last, other, Killed())
        before, done = contents(maps), len(log.writes)
        Process(maps).apply(last)
        check_way(before, log, done, [old, new, last])


@settings(max_examples=100, deadline=None)
@given(states(), states(), states() | st.none(), steps)
def test_after_a_failed_write(old: NodeState, new: NodeState, other: NodeState | None, step: int) -> None:
    """A write fails, and the next repair of the same process completes the change."""
    log = Log()
    with recorded(log) as maps:
        process = Process(maps)
        process.apply(old)
        _cut_off(process, log, new, step, MapError("tw_x", "write", "no memory"))
        before, done = contents(maps), len(log.writes)
        last = other or new
        process.apply(last, repair=True)
        check_way(before, log, done, [old, new, last])


def test_connections_are_judged_again() -> None:
    """
    Established connections are judged again, even if a process was killed during a change.

    It may have been killed after it wrote the tables, and before it had connections judged.
    """
    enemy = {ip_network("10.0.0.6/32"): ClassId(1)}
    old, new = (policy_of({0: (action,) * 2, 1: (action,) * 2}, enemy) for action in (Action.ALLOW, Action.DENY))
    for step in count():
        log = Log()
        with recorded(log) as maps:
            process = Process(maps)
            process.apply(old)
            if not _cut_off(process, log, new, step, Killed()):
                return
            assert Process(maps).apply(new), f"killed after {step} writes"


def test_by_a_state_of_the_same_classes() -> None:
    """A process is killed between two pods' switches; the next state has the same classes and another set."""
    enemy = ip_network("10.0.0.6/32")
    deny, allow = (Action.DENY,) * 2, (Action.ALLOW,) * 2
    states_ = [
        policy_of({0: allow, 1: deny}, {enemy: ClassId(1)}),
        policy_of({0: deny, 2: deny}, {enemy: ClassId(2)}),
        policy_of({0: allow, 2: deny}, {enemy: ClassId(2)}),
    ]
    log = Log()
    with recorded(log) as maps:
        old, new, last = states_
        first = Process(maps)
        first.apply(old)
        entries = next(iter(new.policy.sets.values())).entries
        assert _cut_off(first, log, new, len(entries) + 2, Killed())
        assert len({value[13] for value in maps["ep"].entries().values()}) == 2, "one pod has switched"
        before, done = contents(maps), len(log.writes)
        Process(maps).apply(last)
        for now in replayed(before, log.writes[done:]):
            assert not any(is_open(reader.verdict(now, pod, Direction.EGRESS, PEERS[3], 80)) for pod in PODS[:2])
