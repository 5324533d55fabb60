"""
Policy while it changes: at any moment, a packet gets the old verdict or the new one.

`reader` does the look-ups of the programs. The tests call it after every write of a change.
"""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bpf.policies import (
    OFTEN,
    PODS,
    QUESTIONS,
    Process,
    answers,
    ending_at_once,
    expected,
    policy_in_use,
    policy_of,
    set_of,
    sized,
    state_of,
    states,
)
from tests.unit.bpf.recording import Log, contents, recorded, replayed
from twinway.errors import MapError
from twinway.model.node import NO_POLICY, Action, ClassId, NodeState


@settings(max_examples=60, deadline=None)
@given(st.lists(states(), min_size=1, max_size=4))
def test_every_state_comes_into_force(history: list[NodeState]) -> None:
    """After each state, the kernel's verdict on every connection is that of the state."""
    with recorded(Log()) as maps:
        process = Process(maps)
        for state in history:
            process.apply(state)
            assert answers(contents(maps)) == expected(state)


@settings(max_examples=40, deadline=None)
@given(st.lists(states(), min_size=1, max_size=4))
def test_nothing_is_left_over(history: list[NodeState]) -> None:
    """One step after any sequence of states, the tables have the keys that the last state needs, and no others."""
    with recorded(Log()) as maps, recorded(Log()) as fresh:
        process = Process(maps)
        for state in (*history, history[-1]):
            process.apply(state)
        Process(fresh).apply(history[-1])
        sizes = [{name: set(entries) for name, entries in contents(each).items()} for each in (maps, fresh)]
        assert sizes[0] == sizes[1]


@settings(max_examples=40, deadline=None)
@given(states())
def test_same_state_writes_nothing(state: NodeState) -> None:
    """A state that is in force is not written again, not even by another process."""
    log = Log()
    with recorded(log) as maps:
        process = Process(maps)
        process.apply(state)
        done = len(log.writes)
        process.apply(state)
        process.apply(state, repair=True)
        Process(maps).apply(state)
        assert len(log.writes) == done


@pytest.mark.parametrize("at_once", [0, 1])
@settings(max_examples=40, deadline=None)
@given(history=st.lists(states(), min_size=1, max_size=4))
def test_nothing_is_left_over_after_catching_up(*, at_once: int, history: list[NodeState]) -> None:
    """After catching up, no other keys are left, even if more prefixes ended than a step removes."""
    with recorded(Log()) as maps, recorded(Log()) as fresh, ending_at_once(at_once):
        process = Process(maps)
        for state in history:
            process.apply(state)
        process.catch_up()
        Process(fresh).apply(history[-1])
        sizes = [{name: set(entries) for name, entries in contents(each).items()} for each in (maps, fresh)]
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize("at_once", [0, 256])
@pytest.mark.parametrize("catching_up", [False, True])
@settings(max_examples=60, deadline=None)
@given(history=st.lists(states(), min_size=2, max_size=4))
def test_old_answer_or_new(*, catching_up: bool, at_once: int, history: list[NodeState]) -> None:
    """
    After each write of a change, the verdict on each connection is the old one or the new one.

    This also holds if the process caught up before, which must not overwrite entries in force.
    """
    log = Log()
    with recorded(log) as maps, ending_at_once(at_once):
        process = Process(maps)
        process.apply(history[0])
        for old, new in pairwise(history):
            if catching_up:
                process.catch_up()
            before, done = contents(maps), len(log.writes)
            process.apply(new)
            was, will = expected(old), expected(new)
            for now in replayed(before, log.writes[done:]):
                for question, answer in answers(now).items():
                    assert answer in (was[question], will[question]), question


@pytest.mark.parametrize("at_once", [0, 256])
@settings(max_examples=60, deadline=None)
@given(history=st.lists(states(), min_size=1, max_size=4))
def test_catching_up_changes_no_answer(*, at_once: int, history: list[NodeState]) -> None:
    """No write of `catch_up` changes a verdict, and a second call writes nothing."""
    log = Log()
    with recorded(log) as maps, ending_at_once(at_once):
        process = Process(maps)
        for state in history:
            process.apply(state)
            before, done = contents(maps), len(log.writes)
            process.catch_up()
            for now in replayed(before, log.writes[done:]):
                assert answers(now) == expected(state)
            done = len(log.writes)
            process.catch_up()
            process.apply(state)
            assert len(log.writes) == done


@pytest.mark.parametrize("catching_up", [False, True])
def test_a_change_after_catching_up_writes_what_it_changes(*, catching_up: bool) -> None:
    """The next change writes prefixes with new classes again, unless the process caught up before."""
    chosen = set_of(dict.fromkeys(range(4), (Action.DENY, Action.ALLOW)))
    networks = [ip_network(f"10.0.0.{number}/32") for number in range(20)]
    tables = [{network: ClassId(1 + (at < last)) for at, network in enumerate(networks)} for last in (0, 20, 19)]
    log = Log()
    with recorded(log) as maps:
        process = Process(maps)
        for table in tables[:2]:
            process.apply(state_of({PODS[0]: chosen.id}, {chosen.id: chosen}, table))
        if catching_up:
            assert process.catch_up().written == len(networks)
        done = len(log.writes)
        process.apply(state_of({PODS[0]: chosen.id}, {chosen.id: chosen}, tables[2]))
        renamed = [write for write in log.writes[done:] if write.table.startswith("tw_class")]
        assert len(renamed) == (1 if catching_up else len(networks) - 1)


def test_a_class_that_comes_back_keeps_its_entries() -> None:
    """Entries of a class that were due for removal are kept when the class comes back."""
    peer = ip_network("10.0.0.6/32")
    tables = [{peer: ClassId(1)}, {peer: ClassId(2)}]
    with recorded(Log()) as maps:
        process = Process(maps)
        for table in (*tables, *tables):
            state = policy_in_use(OFTEN[0], table)
            for _ in range(2):
                process.apply(state)
                assert answers(contents(maps)) == expected(state)


def test_prefixes_left_for_later_are_not_written_again() -> None:
    """A state of the same classes removes the ended prefixes that are left, and writes nothing."""
    networks = [ip_network(f"10.0.0.{number}/32") for number in range(20)]
    log = Log()
    with recorded(log) as maps, ending_at_once(5):
        process = Process(maps)
        process.apply(policy_of(OFTEN[0], dict.fromkeys(networks, ClassId(1))))
        process.apply(policy_of(OFTEN[0], {}))
        assert len(maps["class"].entries()) == 15
        done = len(log.writes)
        process.apply(policy_of(OFTEN[0], {}))
        assert not maps["class"].entries()
        assert all(write.value is None for write in log.writes[done:])


def test_connections_of_an_address_end_with_its_pod() -> None:
    """
    When an address gets a new pod, connections of its earlier pod are judged again.

    Other pods use both policies all the time, so the address is the only change.
    """
    open_to_all, closed = (set_of({0: (action,) * 2}) for action in (Action.ALLOW, Action.DENY))
    first, second, third = PODS
    with_others = {second: open_to_all.id, third: closed.id}
    sets = {each.id: each for each in (open_to_all, closed)}
    with recorded(Log()) as maps:
        process = Process(maps)
        process.apply(state_of({**with_others, first: open_to_all.id}, sets, {}))
        judged = [
            process.apply(state_of(pods, sets, {})) for pods in (with_others, {**with_others, first: closed.id})
        ]
        assert any(judged)


@settings(max_examples=60, deadline=None)
@given(states(), st.lists(st.booleans(), max_size=5), st.booleans())
def test_unchanged_policy_is_not_judged_again(state: NodeState, repairs: list[bool], catching_up: bool) -> None:
    """Connections are judged once by a state, however often it is applied or repaired."""
    with recorded(Log()) as maps:
        process = Process(maps)
        assert process.apply(state)
        for repair in repairs:
            if catching_up:
                process.catch_up()
            assert not process.apply(state, repair=repair)


def test_pods_without_policy_have_nothing_judged() -> None:
    """No connection is judged when pods without policy, or the node's addresses beside them, come or go."""
    chosen = set_of({0: (Action.ALLOW,) * 2})
    first, second, third = PODS
    with recorded(Log()) as maps:
        process = Process(maps)
        process.apply(state_of({}, {}, {}))
        for pods, node in (({}, [third]), ({first: NO_POLICY}, [third]), ({}, [])):
            assert not process.apply(state_of(pods, {}, {}), node=node)
        here = {second: chosen.id}
        sets = {chosen.id: chosen}
        assert process.apply(state_of(here, sets, {}), node=[third])
        for pods in ({**here, first: NO_POLICY}, here, {**here, first: NO_POLICY}):
            for repair in (False, True):
                assert not process.apply(state_of(pods, sets, {}), node=[third], repair=repair)


def test_node_that_changes_its_address_has_pods_judged() -> None:
    """Connections are judged again when the node's addresses change, because pods always admit their node."""
    chosen = set_of({0: (Action.DENY,) * 2})
    pod, address, _ = PODS
    state = state_of({pod: chosen.id}, {chosen.id: chosen}, {})
    with recorded(Log()) as maps:
        process = Process(maps)
        process.apply(state)
        assert process.apply(state, node=[address])
        assert not process.apply(state, node=[address])
        assert process.apply(state)
        assert not process.apply(state, repair=True)


def test_pod_that_comes_or_goes_has_addresses_asked_again() -> None:
    """`moved` is set when an address came or left, and not otherwise."""
    first, second, _ = PODS
    with recorded(Log()) as maps:
        process = Process(maps)
        pods = [
            {first: NO_POLICY},
            {first: NO_POLICY, second: NO_POLICY},
            {second: NO_POLICY},
            {second: NO_POLICY},
        ]
        seen = []
        for each in pods:
            process.apply(state_of(each, {}, {}))
            seen.append(process.moved())
        assert seen == [True, True, True, False]  # the first: an earlier process may have removed some


def test_failed_switch_is_judged_by_the_next_one() -> None:
    """After a write that failed, the next state has connections judged, because some pods may have switched."""
    state, other = (policy_of({0: (action,) * 2}, {}) for action in (Action.ALLOW, Action.DENY))
    log = Log()
    with recorded(log) as maps:
        process = Process(maps)
        process.apply(state)
        with log.ending(1, MapError("tw_x", "write", "no memory")), pytest.raises(MapError):
            process.apply(other)
        assert process.apply(state, repair=True)
        assert not process.apply(state, repair=True)


@pytest.mark.parametrize("table", ["verdict", "class", "ep"])
def test_full_table_keeps_what_is_in_force(table: str) -> None:
    """If a table has no room for the new state, the old one stays in force, also after a second try."""
    small, large = sized(2, 2), sized(3, 40)
    with recorded(Log(), **{table: len(_whole(small)[table])}) as maps:
        process = Process(maps)
        process.apply(small)
        for repair in (False, True):
            with pytest.raises(MapError, match=f"full at .* raise maps.{table} in the node config"):
                process.apply(large, repair=repair)
            was, will, now = expected(small), expected(large), answers(contents(maps))
            assert all(now[question] in (was[question], will[question]) for question in QUESTIONS)
            assert table == "ep" or now == was
        process.apply(small, repair=True)
        assert answers(contents(maps)) == expected(small)


def _whole(state: NodeState) -> dict[str, dict[bytes, bytes]]:
    with recorded(Log()) as maps:
        Process(maps).apply(state)
        return {short: table.entries() for short, table in maps.items()}
