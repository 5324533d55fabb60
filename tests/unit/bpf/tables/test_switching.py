"""
Policy while it changes: whoever reads the tables at any moment gets the old answer or the new one.

The reader is the kernel's, written again in `reader`. It reads after every single write of a change.
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
    """After each state the kernel says of every connection just what the state says."""
    with recorded(Log()) as maps:
        process = Process(maps)
        for state in history:
            process.apply(state)
            assert answers(contents(maps)) == expected(state)


@settings(max_examples=40, deadline=None)
@given(st.lists(states(), min_size=1, max_size=4))
def test_nothing_is_left_over(history: list[NodeState]) -> None:
    """However a state was reached, the tables are as large as from nothing, one step later."""
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
    """A state that is in force is not written again, nor by a process that finds it there."""
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
    """Nor where more ended than a step removes."""
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
    After each single write of a change, each connection is answered as before or as after it.

    Also where there was time to catch up before: nothing that is in force is written over.
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
    """Each single write of it leaves every connection answered as the state in force does; then none is left."""
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
    """Renamed prefixes are written again at the next change, unless there was time before."""
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
    """What a set said of it was to be removed, and had not been yet."""
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
    """A state of the same classes finds them still there, and removes them."""
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
    What an earlier pod of an address had open is judged anew for the next one.

    Both policies are in use by others all the time, so that nothing else would say so.
    """
    open_to_all, closed = (set_of({0: (action,) * 2}) for action in (Action.ALLOW, Action.DENY))
    first, second, third = PODS
    with_others = {second: open_to_all.id, third: closed.id}
    sets = {each.id: each for each in (open_to_all, closed)}
    with recorded(Log()) as maps:
        process = Process(maps)
        process.apply(state_of({**with_others, first: open_to_all.id}, sets, {}))
        told = [
            process.apply(state_of(pods, sets, {})) for pods in (with_others, {**with_others, first: closed.id})
        ]
        assert any(told)


@settings(max_examples=60, deadline=None)
@given(states(), st.lists(st.booleans(), max_size=5), st.booleans())
def test_unchanged_policy_is_not_judged_again(state: NodeState, repairs: list[bool], catching_up: bool) -> None:
    """However often a state is applied or compared with the kernel, connections are judged by it once."""
    with recorded(Log()) as maps:
        process = Process(maps)
        assert process.apply(state)
        for repair in repairs:
            if catching_up:
                process.catch_up()
            assert not process.apply(state, repair=repair)


def test_pods_without_policy_have_nothing_judged() -> None:
    """They come, are compared and go; so do a node's addresses where no pod is under a policy."""
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
    """What the node reaches because it is the node is judged again when its addresses change."""
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
    """Whose an address is is found out anew when one came or left, and not otherwise."""
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


def test_failed_turn_is_judged_by_the_next_one() -> None:
    """A write that fails may have switched some pods: the next state has connections judged, whatever it is."""
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
    """Where a table has no room for the new state the old one goes on, and the next try does no better."""
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
