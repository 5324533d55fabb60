"""
Policy that a process left half changed, taken up by the next one.

A process may be killed at any write. What it left is read back, and completed, or led to another
state; and on the way nothing is open that no state involved opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bpf import reader
from tests.unit.bpf.policies import (
    PEERS,
    PODS,
    Process,
    answers,
    expected,
    is_open,
    policy_of,
    states,
)
from tests.unit.bpf.recording import Killed, Log, contents, recorded, replayed
from twinway.model.node import Action, ClassId, NodeState
from twinway.model.policy import Direction
from twinway_bpf.maps import Map


def _killed(maps: Mapping[str, Map], log: Log, old: NodeState, new: NodeState, step: int) -> bool:
    """Let a process apply `old`, and die after so many writes of `new`; False if it lived."""
    process = Process(maps)
    process.apply(old)
    log.budget = len(log.writes) + step
    try:
        process.apply(new)
    except Killed:
        return True
    finally:
        log.budget = None
    return False


steps = st.integers(0, 20)


@settings(max_examples=120, deadline=None)
@given(states(), states(), states() | st.none(), steps)
def test_after_a_kill(old: NodeState, new: NodeState, other: NodeState | None, step: int) -> None:
    """
    A process is killed at any write; the next one, with the same or another state, completes it.

    On the way nothing is open that neither the old, nor the killed, nor the last state opens.
    """
    log = Log()
    with recorded(log) as maps:
        _killed(maps, log, old, new, step)
        before, done = contents(maps), len(log.writes)
        last = other or new
        Process(maps).apply(last)
        allowed = [expected(state) for state in (old, new, last)]
        for now in replayed(before, log.writes[done:]):
            for question, answer in answers(now).items():
                assert not is_open(answer) or any(is_open(each[question]) for each in allowed), question
        assert answers(contents(maps)) == expected(last)


def test_connections_are_judged_again() -> None:
    """
    What was allowed by a policy that is over does not stay because a process ended in between.

    It may have ended after the tables were right and before it said that connections be judged anew.
    """
    enemy = {ip_network("10.0.0.6/32"): ClassId(1)}
    old, new = (policy_of({0: (action,) * 2, 1: (action,) * 2}, enemy) for action in (Action.ALLOW, Action.DENY))
    for step in count():
        log = Log()
        with recorded(log) as maps:
            if not _killed(maps, log, old, new, step):
                return
            assert Process(maps).apply(new), f"killed after {step} writes"


def test_by_a_state_of_the_same_classes() -> None:
    """A process is killed between two pods' turns; the next one's state has the same classes and another set."""
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
        log.budget = len(log.writes) + len(next(iter(new.policy.sets.values())).entries) + 2
        with pytest.raises(Killed):
            first.apply(new)
        log.budget = None
        assert len({value[13] for value in maps["ep"].entries().values()}) == 2, "one pod has turned"
        before, done = contents(maps), len(log.writes)
        Process(maps).apply(last)
        for now in replayed(before, log.writes[done:]):
            assert not any(is_open(reader.verdict(now, pod, Direction.EGRESS, PEERS[3], 80)) for pod in PODS[:2])
