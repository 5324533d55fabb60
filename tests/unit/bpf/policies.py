"""Small states of policy, what each says, and a process that brings them into force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from itertools import product
from types import MappingProxyType

from hypothesis import strategies as st

from tests.unit.bpf import reader
from tests.unit.bpf.recording import Contents
from twinway.driver import Change
from twinway.model.net import IPAddress, IPNetwork, NodeName, ObjectRef
from twinway.model.node import (
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
from twinway_bpf.endpoints import EndpointTables
from twinway_bpf.maps import Map
from twinway_bpf.policy import PolicyTables

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


@st.composite
def policy_sets(draw: st.DrawFn) -> PolicySet:
    """A set that speaks of class 0 and some others; its id is its content."""
    speaks_of = draw(st.fixed_dictionaries({0: actions}, optional=dict.fromkeys((1, 2, 3), actions)))
    return _set(
        entry
        for direction in Direction
        for identity, what in sorted(speaks_of.items())
        for entry in _entries(direction, identity, what if direction else what[::-1])
    )


def _set(entries: Iterable[VerdictEntry]) -> PolicySet:
    content = tuple(entries)
    # two is the least: 0 is no set, 1 the closed one
    return PolicySet(PolicySetId(2 + abs(hash(content)) % 2**62), content)


classes = st.dictionaries(st.sampled_from(NETWORKS), st.integers(1, 3).map(ClassId), max_size=5)


@st.composite
def states(draw: st.DrawFn) -> NodeState:
    """Up to three pods, each under one of up to two sets or none, and classes of addresses."""
    sets = {each.id: each for each in draw(st.lists(policy_sets(), max_size=2))}
    chosen = st.sampled_from([NO_POLICY, *sets])
    pods = draw(st.dictionaries(st.sampled_from(PODS), chosen))
    return state_of(pods, {each: sets[each] for each in set(pods.values()) & set(sets)}, draw(classes))


def state_of(
    pods: Mapping[IPAddress, PolicySetId],
    sets: Mapping[PolicySetId, PolicySet],
    table: Mapping[IPNetwork, ClassId],
) -> NodeState:
    """A state with these pods under these sets, and these classes."""
    endpoints = {_ref(pod): Endpoint(_attachment(pod), policy) for pod, policy in pods.items()}
    policy = PolicyState(MappingProxyType(dict(sets)), MappingProxyType(dict(table)))
    return NodeState(NodeName("n1"), "1", (), MappingProxyType({}), MappingProxyType(endpoints), policy, ())


def _ref(pod: IPAddress) -> ObjectRef:
    return ObjectRef("Pod", "shop", f"p{pod}")


def _attachment(pod: IPAddress) -> Attachment:
    return Attachment(_ref(pod), f"c{pod}", f"/run/netns/p{pod}", "eth0", (pod,))


class Process:
    """One agent's tables, from its start to its end."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._tables = EndpointTables(maps["ep"], PolicyTables(maps["class"], maps["verdict"]))
        self._previous: NodeState | None = None

    def apply(self, state: NodeState, *, repair: bool = False) -> bool:
        """Turn and settle, as the datapath does; whether established connections are to be judged anew."""
        change = Change(state, self._previous, repair=repair)
        turn = self._tables.turn(change, {}, ())
        self._tables.settle(change, {}, ())
        self._previous = state
        return turn.judged_anew


def answers(tables: Contents) -> Answers:
    """What the kernel would say to every question."""
    return {question: reader.verdict(tables, *question) for question in QUESTIONS}


def expected(state: NodeState) -> Answers:
    """What the state says, by the rules of the model."""
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
    """Whether a connection would pass: no policy is enforced for an address that is no pod's."""
    return answer != Action.DENY


def set_of(speaks_of: Mapping[int, tuple[Action, Action]]) -> PolicySet:
    """A set that says this of each class, in both directions: of all ports, and of 80."""
    found = [_entries(direction, *each) for direction in Direction for each in speaks_of.items()]
    return _set(entry for entries in found for entry in entries)


def policy_of(speaks_of: Mapping[int, tuple[Action, Action]], table: Mapping[IPNetwork, ClassId]) -> NodeState:
    """Two pods under a set that says this of each class, in both directions."""
    chosen = set_of(speaks_of)
    return state_of(dict.fromkeys(PODS[:2], chosen.id), {chosen.id: chosen}, table)


def sized(pods: int, prefixes: int) -> NodeState:
    """So many pods, classes and single addresses."""
    chosen = set_of(dict.fromkeys(range(prefixes), (Action.DENY, Action.ALLOW)))
    table: dict[IPNetwork, ClassId] = {ip_network(f"10.0.0.{n}/32"): ClassId(n) for n in range(1, prefixes)}
    return state_of(dict.fromkeys(PODS[:pods], chosen.id), {chosen.id: chosen}, table)
