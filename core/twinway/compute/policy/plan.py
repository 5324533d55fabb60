"""
Plans: the rules of all policies that select a pod, in the order in which they decide.

Pods under the same policies share a plan. Stages, in each direction:

1. rules of the Admin tier, by priority;
2. if a NetworkPolicy isolates the pod in that direction: what those allow, then "isolation", which
   denies the rest; otherwise rules of the Baseline tier, by priority;
3. the default, which allows.

Policies of one tier and priority stand in the order of their names and kinds: the API leaves it
open, and this is the same on every node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from twinway.compute.classes.atoms import EVERY_POD, NO_ATOM, Atom, AtomId, PortAtom, atom_id, pod_atom
from twinway.compute.ids import content_id
from twinway.compute.policy.peer_verdicts import Span
from twinway.compute.policy.ports import cost
from twinway.model.cluster import ContainerPort
from twinway.model.net import ObjectRef
from twinway.model.node import RuleId, RuleRef
from twinway.model.policy import (
    Block,
    ClusterAction,
    ClusterPolicy,
    Direction,
    NetworkPolicy,
    NodePeer,
    Peer,
    PodPeer,
    PortRange,
    Rule,
    Tier,
)

ADMIN, NETWORK, BASELINE, DEFAULT = range(4)
DEFAULT_RULE = RuleRef(ObjectRef("Default", "", "allow"), "default")
"""The rule that allows what no policy decides."""
ISOLATION = "isolation"
"""Place of the rule that denies what no NetworkPolicy allows to a pod that one of them selects."""
TOO_LARGE = "too large"
"""Place of the rule that denies everything where policies make more entries than the limit."""


@dataclass(frozen=True, slots=True)
class Selected:
    """
    The policies that select a pod, and what of the pod itself they look at.

    `policies` are sorted by name, `cluster` in the order in which they decide.
    """

    policies: tuple[NetworkPolicy, ...]
    cluster: tuple[ClusterPolicy, ...]
    ports: tuple[ContainerPort, ...]
    """The pod's ports whose names an ingress rule uses."""


@dataclass(frozen=True, slots=True)
class Clause:
    """
    One rule. It is about peers that one of `peers` matches (None: everyone), on `spans` (None: all).

    `named` adds peers on ports that have names: a pair of atoms, both of which must match, of which
    the second, a `PortAtom`, gives the ports.
    """

    stage: int
    action: ClusterAction
    rule: RuleId
    peers: frozenset[AtomId] | None
    spans: tuple[Span, ...] | None
    named: tuple[tuple[AtomId, AtomId], ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The clauses of both directions, and what the ids in them stand for."""

    clauses: dict[Direction, tuple[Clause, ...]]
    closing: dict[Direction, RuleRef]
    """The rule that denies everything in a direction with too many entries, named after the largest policy."""
    atoms: dict[AtomId, Atom]
    rules: dict[RuleId, RuleRef]


def rule_id(rule: RuleRef) -> RuleId:
    """The id of a rule, by object and place."""
    words = (rule.object.kind, rule.object.namespace, rule.object.name, rule.place)
    return RuleId(content_id(b"rule", repr(words).encode()))


def ingress_names(policies: Iterable[NetworkPolicy], cluster: Iterable[ClusterPolicy]) -> frozenset[str]:
    """The names of ports that ingress rules use."""
    ports = [rule.ports for policy in policies for rule in policy.ingress or ()]
    ports += [rule.ports for policy in cluster for rule in policy.ingress]
    return frozenset(port.name for each in ports for port in each or () if port.name)


def make_plan(selected: Selected) -> Plan | None:
    """The plan of pods that these policies select, None where nothing limits them."""
    builder = _Builder(selected)
    clauses = {direction: tuple(builder.clauses(direction)) for direction in Direction}
    if all(len(each) == 1 for each in clauses.values()):
        return None
    closing = {direction: builder.closing(each) for direction, each in clauses.items()}
    return Plan(clauses, closing, builder.atoms, builder.rules)


def rows_of(clause: Clause) -> int:
    """How many rows a clause adds to verdicts at most; names of ports are not counted."""
    return sum(cost(first, last) for _, first, last in clause.spans or ())


def content_of(clauses: Iterable[Clause]) -> bytes:
    """Everything that a verdict depends on besides the class, as bytes: equal for equal clauses alone."""
    words = [
        (
            each.stage,
            str(each.action),
            each.rule,
            None if each.peers is None else sorted(each.peers),
            each.spans,
            each.named,
        )
        for each in clauses
    ]
    return repr(words).encode()


@dataclass(frozen=True, slots=True)
class _Given:
    # One rule as its policy gives it. `namespace` is what peers without one of their own mean.
    stage: int
    action: ClusterAction
    ref: RuleRef
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRange, ...] | None
    namespace: str = ""


def _given(selected: Selected, direction: Direction) -> Iterator[_Given]:
    yield from _tier(selected, Tier.ADMIN, ADMIN, direction)
    isolating = [policy for policy in selected.policies if _allowed(policy, direction) is not None]
    if isolating:
        for policy in isolating:
            for index, rule in enumerate(_allowed(policy, direction) or ()):
                ref = _rule(policy.ref, _place(direction, index))
                yield _Given(
                    NETWORK, ClusterAction.ACCEPT, ref, rule.peers, rule.ports, namespace=policy.ref.namespace
                )
        yield _Given(NETWORK, ClusterAction.DENY, _rule(isolating[0].ref, ISOLATION), None, None)
    else:
        yield from _tier(selected, Tier.BASELINE, BASELINE, direction)
    yield _Given(DEFAULT, ClusterAction.ACCEPT, DEFAULT_RULE, None, None)


def _tier(selected: Selected, tier: Tier, stage: int, direction: Direction) -> Iterator[_Given]:
    for policy in selected.cluster:
        if policy.tier is not tier:
            continue
        rules = policy.ingress if direction is Direction.INGRESS else policy.egress
        for index, rule in enumerate(rules):
            ref = _rule(policy.ref, _place(direction, index, rule.name))
            yield _Given(stage, rule.action, ref, rule.peers, rule.ports)


@lru_cache(maxsize=4096)
def _rule(ref: ObjectRef, place: str) -> RuleRef:
    # Plans share rules, and are compared often: the same object is the same at once.
    return RuleRef(ref, place)


def _allowed(policy: NetworkPolicy, direction: Direction) -> tuple[Rule, ...] | None:
    return policy.ingress if direction is Direction.INGRESS else policy.egress


def _place(direction: Direction, index: int, name: str = "") -> str:
    place = f"spec.{direction.name.lower()}[{index}]"
    return f"{place} ({name})" if name else place


class _Builder:
    # Collects atoms and rules by id while it makes the clauses of a plan.

    def __init__(self, selected: Selected) -> None:
        self.selected = selected
        self.atoms: dict[AtomId, Atom] = {}
        self.rules: dict[RuleId, RuleRef] = {}

    def clauses(self, direction: Direction) -> Iterator[Clause]:
        for given in _given(self.selected, direction):
            clause = self._clause(given, direction)
            if clause.peers is None or clause.peers or clause.named:
                self.rules[clause.rule] = given.ref
                yield clause

    def closing(self, clauses: tuple[Clause, ...]) -> RuleRef:
        weights: Counter[ObjectRef] = Counter()
        for clause in clauses:
            weights[self.rules[clause.rule].object] += (1 + rows_of(clause)) * (1 + len(clause.peers or ()))
        rule = RuleRef(max(weights, key=lambda ref: (weights[ref], ref)), TOO_LARGE)
        self.rules[rule_id(rule)] = rule
        return rule

    def _clause(self, given: _Given, direction: Direction) -> Clause:
        names = [port for port in given.ports or () if port.name]
        spans = self._spans(given.ports, direction)
        peers: frozenset[AtomId] | None = frozenset()
        if spans is None or spans:
            peers = self._peers(given)
        named = self._named(given, names) if direction is Direction.EGRESS else ()
        return Clause(given.stage, given.action, rule_id(given.ref), peers, spans, named)

    def _spans(self, ports: tuple[PortRange, ...] | None, direction: Direction) -> tuple[Span, ...] | None:
        if ports is None:
            return None
        spans: list[Span] = []
        for port in ports:
            if not port.name and port.protocol is not None:
                spans.append((port.protocol.number, port.first, port.last))
            elif direction is Direction.INGRESS:
                # Ingress arrives at the selected pod itself: its own ports have the names.
                own = (each for each in self.selected.ports if each.name == port.name)
                spans += [
                    (each.protocol.number, each.port, each.port)
                    for each in own
                    if port.protocol in (None, each.protocol)
                ]
        return tuple(spans)

    def _peers(self, given: _Given) -> frozenset[AtomId] | None:
        if given.peers is None:
            return None
        return frozenset(self._atom(_atom(peer, given.namespace)) for peer in given.peers)

    def _named(self, given: _Given, ports: list[PortRange]) -> tuple[tuple[AtomId, AtomId], ...]:
        pairs: list[tuple[AtomId, AtomId]] = []
        for port in ports:
            for peer in (None,) if given.peers is None else given.peers:
                match peer:
                    case NodePeer():
                        continue  # Nodes have no ports with names.
                    case PodPeer():
                        first, pods = NO_ATOM, pod_atom(peer, given.namespace)
                    case Block():
                        first, pods = self._atom(peer), EVERY_POD
                    case None:
                        first, pods = NO_ATOM, EVERY_POD
                pairs.append((first, self._atom(PortAtom(pods, port.name, port.protocol))))
        return tuple(pairs)

    def _atom(self, atom: Atom) -> AtomId:
        found = atom_id(atom)
        self.atoms[found] = atom
        return found


def _atom(peer: Peer, namespace: str) -> Atom:
    return pod_atom(peer, namespace) if isinstance(peer, PodPeer) else peer
