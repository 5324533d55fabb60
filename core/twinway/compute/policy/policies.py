"""
Policy of one node: from what the API says to the tables that decide a packet with two look-ups.

    policies ──selection──▶ Selected ──plan──▶ Plan ──┬─ atoms ────classes──▶ prefix → class
    of each attached pod                              └─ clauses ─directions▶ set, direction, class, port → verdict

Only policies that select pods of this node count, and the atoms of those policies. `classes` and
`directions` say how large the tables are.

The datapath allows some traffic whatever the tables say: from a pod to its own address, from a node to
its own pods, and replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from twinway.compute.classes.classes import ClassTable
from twinway.compute.collisions import enter
from twinway.compute.endpoints import Selecting
from twinway.compute.policy.plans import PlansInUse
from twinway.compute.policy.selection import Selection
from twinway.compute.policy.sets import PlannedSet, Shape
from twinway.model.cluster import Cluster
from twinway.model.net import NodeName, ObjectRef, Rejected
from twinway.model.node import Attachment, PolicySet, PolicySetId, PolicyState, RuleId, RuleRef

Attachments = Mapping[ObjectRef, Attachment]
Rules = Mapping[RuleId, RuleRef]
Compiled = tuple[PolicyState, Mapping[ObjectRef, PolicySetId], Mapping[ObjectRef, Selecting], tuple[Rejected, ...]]
"""The tables, the set of each pod, the policies that select it, and what cannot be used."""


def compile_policies(cluster: Cluster, node: NodeName, attachments: Attachments) -> Compiled:
    """
    The tables, the set of each attached pod and what selects it, and what cannot be used.

    `attachments` are those of `node`. A pod that no policy limits has `NO_POLICY`; one that the
    cluster does not know, or that is on its node's network, is left out.
    """
    return PolicyMemo().compile(cluster, node, attachments)


class PolicyMemo:
    """`compile_policies`, remembered: for one node, called with one input after the other."""

    def __init__(self) -> None:
        """Nothing is known; the first answer costs as much as `compile_policies`."""
        self._forget()

    def compile(self, cluster: Cluster, node: NodeName, attachments: Attachments) -> Compiled:
        """
        Equal to `compile_policies(cluster, node, attachments)`, at the cost of what changed.

        What did not change is the same object as before: sets, tables, the whole state. Objects of
        the cluster are compared by identity. Raises `IdCollision`, and is then as if new.
        """
        del node  # The attachments are this node's; nothing else depends on where it is done.
        try:
            return self._compile(cluster, attachments)
        except BaseException:
            # The next call must not take half of a change for the whole.
            self._forget()
            raise

    def _forget(self) -> None:
        self._selection = Selection()
        self._plans = PlansInUse()
        self._classes = ClassTable()
        self._state = PolicyState()
        self._rules_in_state: dict[int, Rules] = {}

    def _compile(self, cluster: Cluster, attachments: Attachments) -> Compiled:
        selected = self._selection.update(cluster, attachments)
        others = self._plans.update(selected)
        if not self._plans.sets:
            # Nothing needs a class. Classes are made again when a policy selects the first pod.
            self._classes = ClassTable()
            self._state = self._state if self._state == PolicyState() else PolicyState()
        else:
            change = self._classes.update(cluster, attachments, self._plans.atoms)
            others |= self._plans.classify(change, self._classes)
            if others or self._state.classes is not self._classes.table:
                self._state = _state(self._state, self._plans.sets, self._classes, self._rules_in_state)
                self._rules_in_state = {id(each.rules): each.rules for each in self._plans.sets}
        rejected = {each for planned in self._plans.sets for each in planned.rejected}
        sets = {ref: self._plans.set_of(each) for ref, each in selected.items()}
        selecting = {ref: each.policies + each.cluster for ref, each in selected.items()}
        return self._state, sets, selecting, tuple(sorted(rejected))


def _state(
    old: PolicyState, planned: Sequence[PlannedSet], classes: ClassTable, known_rules: Mapping[int, Rules]
) -> PolicyState:
    # Parts of the old state that would be equal stay the same objects. The rules in `known_rules`, by
    # identity, were in the old state together: no two of them have the same id.
    shapes: dict[PolicySetId, Shape] = {}
    sets: dict[PolicySetId, PolicySet] = {}
    rules: dict[RuleId, RuleRef] = {}
    for each in planned:
        if id(each.rules) in known_rules:
            rules.update(each.rules)
    for each in planned:
        enter(shapes, each.value.id, each.shape, "policy sets")
        known = old.sets.get(each.value.id)
        sets[each.value.id] = known if known == each.value else each.value
        for rule, ref in each.rules.items() if id(each.rules) not in known_rules else ():
            enter(rules, rule, ref, "rules")
    same_sets, same_rules = old.sets == sets, old.rules == rules
    if same_sets and same_rules and old.classes is classes.table:
        return old
    return PolicyState(
        sets=old.sets if same_sets else MappingProxyType(sets),
        classes=classes.table,
        rules=old.rules if same_rules else MappingProxyType(rules),
    )
