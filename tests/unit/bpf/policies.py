"""Small states of policy, their verdicts, and a process that puts them in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from itertools import product
from types import MappingProxyType

import pytest
from hypothesis import strategies as st

from tests.unit.bpf import reader
from tests.unit.bpf.recording import Contents
from twinway.driver import Change
from twinway.model.net import IPAddress, IPNetwork, NodeName, ObjectRef
from twinway.model.node import (
    NO_CLASS,
    NO_POLICY,
    Action,
    Attachment,
    ClassId,
    Endpoint,
    NodeState,
    PolicySet,
    PolicySetId,
    PolicyState,
    RuleId,
    Verdict,
    VerdictEntry,
)
from twinway.model.policy import Direction
from twinway.model.prefixes import PrefixClasses
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import policy
from twinway_bpf.tables.endpoints import EndpointTables
from twinway_bpf.tables.policy import PolicyTables
from twinway_bpf.tables.sync import Step

PODS = [ip_address(f"10.0.0.{number}") for number in (1, 2, 3)]
PEERS = [*PODS, *map(ip_address, ("10.0.0.6", "10.0.1.1", "fd00::1"))]
PORTS = (80, 81)
QUESTIONS = list(product(PODS, Direction, PEERS, PORTS))
NETWORKS = [
    ip_network(text)
    for text in (
        "0.0.0.0/0",
        "10.0.0.0/16",
        "10.0.0.0/24",
        "10.0.0.0/30",
        "10.0.0.2/32",
        "10.0.0.6/32",
        "fd00::/8",
    )
]
Answers = dict[tuple[IPAddress, Direction, IPAddress, int], Action | None]


def _entries(direction: Direction, identity: int, actions: tuple[Action, Action]) -> Iterable[VerdictEntry]:
    whole, web = actions
    yield VerdictEntry(direction, ClassId(identity), 6, 0, 0, Verdict(whole, RuleId(1)))
    if web != whole:
        yield VerdictEntry(direction, ClassId(identity), 6, 80, 16, Verdict(web, RuleId(2)))


actions = st.tuples(st.sampled_from(Action), st.sampled_from(Action))


verdicts = st.fixed_dictionaries({0: actions}, optional=dict.fromkeys((1, 2, 3), actions))
OFTEN = [
    {0: (Action.DENY, Action.DENY), 1: (Action.ALLOW, Action.ALLOW), 2: (Action.DENY, Action.ALLOW)},
    {0: (Action.ALLOW, Action.ALLOW), 1: (Action.DENY, Action.DENY), 3: (Action.ALLOW, Action.DENY)},
]
"""Verdicts of sets that many states share, by class."""
Verdicts = Mapping[int, tuple[Action, Action]]
"""The verdicts of a set by class: for all ports, and for port 80. Ingress has them in the reverse order."""


def _set(verdicts_of: Verdicts, live: Iterable[int] | None = None) -> PolicySet:
    # The id derives from all verdicts of the set; its entries are for classes in use.
    entries = [
        entry
        for direction in Direction
        for identity, what in sorted(verdicts_of.items())
        if live is None or identity in {0, *live}
        for entry in _entries(direction, identity, what if direction else what[::-1])
    ]
    # from 2 on: 0 is no set, 1 is DENY_ALL
    return PolicySet(PolicySetId(2 + abs(hash(tuple(sorted(verdicts_of.items())))) % 2**62), tuple(entries))


ORDERS = [tuple(NETWORKS), tuple(NETWORKS[::-1]), tuple(NETWORKS[:5]), (*NETWORKS[:2], *NETWORKS[:3:-1])]
"""Columns that states share, like those of compute. Some states have no class for some rows."""


@st.composite
def classes(draw: st.DrawFn) -> Mapping[IPNetwork, ClassId]:
    """A table of classes, as a plain mapping or as compute's columns."""
    table = draw(st.dictionaries(st.sampled_from(NETWORKS), st.integers(1, 3).map(ClassId), max_size=5))
    order = draw(st.none() | st.sampled_from(ORDERS))
    if order is None:
        return table
    return PrefixClasses(order, tuple(table.get(network, NO_CLASS) for network in order))


@st.composite
def states(draw: st.DrawFn) -> NodeState:
    """Up to three pods, each under one of up to two sets or none, and classes of addresses."""
    table = draw(classes())
    chosen_verdicts = draw(st.lists(st.sampled_from(OFTEN) | verdicts, max_size=2))
    sets = {each.id: each for each in (_set(what, table.values()) for what in chosen_verdicts)}
    chosen = st.sampled_from([NO_POLICY, *sets])
    pods = draw(st.dictionaries(st.sampled_from(PODS), chosen))
    return state_of(pods, {each: sets[each] for each in set(pods.values()) & set(sets)}, table)


def state_of(
    pods: Mapping[IPAddress, PolicySetId],
    sets: Mapping[PolicySetId, PolicySet],
    table: Mapping[IPNetwork, ClassId],
) -> NodeState:
    """A state with these pods under these sets, and these classes."""
    endpoints = {_ref(pod): Endpoint(_attachment(pod), policy) for pod, policy in pods.items()}
    policy = PolicyState(MappingProxyType(dict(sets)), table)
    return NodeState(NodeName("n1"), "1", (), MappingProxyType({}), MappingProxyType(endpoints), policy, ())


def _ref(pod: IPAddress) -> ObjectRef:
    return ObjectRef("Pod", "shop", f"p{pod}")


def _attachment(pod: IPAddress) -> Attachment:
    return Attachment(_ref(pod), f"c{pod}", f"/run/netns/p{pod}", "eth0", (pod,))


@contextmanager
def ending_at_once(prefixes: int) -> Iterator[None]:
    """Let each step in the block remove at most `prefixes` of the prefixes that it ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "ENDED_AT_ONCE", prefixes)
        yield


class Process:
    """The tables of one agent's process."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._tables = EndpointTables(maps["ep"], PolicyTables(maps["class"], maps["verdict"]))
        self._previous: NodeState | None = None

    def apply(self, state: NodeState, *, repair: bool = False, node: Iterable[IPAddress] = ()) -> bool:
        """Switch and settle, as the datapath does; whether established connections are to be judged anew."""
        change = Change(state, self._previous, repair=repair)
        switch = self._tables.switch(change, {}, node)
        if switch.judge_anew:
            self._tables.judged()
        self._tables.settle(change)
        self._previous = state
        return switch.judge_anew

    def moved(self) -> bool:
        """Whether an address left its pod or its device since the last call."""
        moved, self._tables.moved = self._tables.moved, False
        return moved

    def catch_up(self) -> Step:
        """Do in advance what the next change would do first; return what was done."""
        return self._tables.catch_up()


def answers(tables: Contents) -> Answers:
    """The kernel's answer to every question."""
    return {question: reader.verdict(tables, *question) for question in QUESTIONS}


def expected(state: NodeState) -> Answers:
    """The answers of a state, by the rules of the model."""
    found: Answers = {}
    for question in QUESTIONS:
        pod, direction, peer, port = question
        endpoint = state.endpoints.get(_ref(pod))
        found[question] = None if endpoint is None else _says(state.policy, endpoint.policy, direction, peer, port)
    return found


def _says(policy: PolicyState, chosen: PolicySetId, direction: Direction, peer: IPAddress, port: int) -> Action:
    if chosen == NO_POLICY:
        return Action.ALLOW
    holding = [network for network in policy.classes if peer in network]
    named = policy.classes[max(holding, key=lambda network: network.prefixlen)] if holding else ClassId(0)
    entries = [entry for entry in policy.sets[chosen].entries if entry.direction == direction]
    for identity in (named, 0):
        fitting = [e for e in entries if e.address_class == identity and e.port in (0, port)]
        if fitting:
            return max(fitting, key=lambda entry: entry.bits).verdict.action
    return Action.DENY


def is_open(answer: Action | None) -> bool:
    """Whether a connection would pass. No policy is enforced for an address without a pod."""
    return answer != Action.DENY


def set_of(verdicts_of: Verdicts) -> PolicySet:
    """A set with these verdicts."""
    return _set(verdicts_of)


def policy_of(verdicts_of: Verdicts, table: Mapping[IPNetwork, ClassId]) -> NodeState:
    """Two pods under a set with these verdicts."""
    chosen = set_of(verdicts_of)
    return state_of(dict.fromkeys(PODS[:2], chosen.id), {chosen.id: chosen}, table)


def policy_in_use(verdicts_of: Verdicts, table: Mapping[IPNetwork, ClassId]) -> NodeState:
    """The same, with entries for the classes of the table alone."""
    chosen = _set(verdicts_of, table.values())
    return state_of(dict.fromkeys(PODS[:2], chosen.id), {chosen.id: chosen}, table)


def sized(pods: int, prefixes: int) -> NodeState:
    """A state with this number of pods, and of classes, each of one address."""
    chosen = set_of(dict.fromkeys(range(prefixes), (Action.DENY, Action.ALLOW)))
    table: dict[IPNetwork, ClassId] = {ip_network(f"10.0.0.{n}/32"): ClassId(n) for n in range(1, prefixes)}
    return state_of(dict.fromkeys(PODS[:pods], chosen.id), {chosen.id: chosen}, table)
