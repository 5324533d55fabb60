"""
Policy of one node: from what the API says to the tables that decide a packet with two look-ups.

    policies ──selection──▶ Selected ──plan──▶ Plan ──┬─ atoms ────classes──▶ prefix → class
    of each attached pod                              └─ clauses ──sides────▶ set, direction, class, port → verdict

Only what pods of this node are under is looked at: their policies, and the atoms of those. The sizes
of the tables are given in `classes` and `sides`.

Some traffic is allowed whatever the tables say, and the datapath sees to that: a pod to its own
address, a node to its own pods, replies.
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
"""The tables, the set that each pod is under, the policies that select it, and what cannot be used."""


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
        Equal to `compile_policies(cluster, node, attachments)`, at the price of what changed.

        What did not change is the same object as before: sets, tables, the whole state. Objects of
        the cluster are compared by identity. Raises `IdCollision`, and is then as if new.
        """
        del node  # The attachments are this node's; nothing else depends on where it is done.
        try:
            return self._compile(cluster, attachments)
        except BaseException:
            # Half of a change must not be taken for the whole of it the next time.
            self._forget()
            raise

    def _forget(self) -> None:
        self._selection = Selection()
        self._plans = PlansInUse()
        self._classes = ClassTable()
        self._state = PolicyState()
        self._told: dict[int, Rules] = {}

    def _compile(self, cluster: Cluster, attachments: Attachments) -> Compiled:
        selected = self._selection.update(cluster, attachments)
        others = self._plans.update(selected)
        if not self._plans.sets:
            # No class is of use. They are made anew when the first pod comes under a policy.
            self._classes = ClassTable()
            self._state = self._state if self._state == PolicyState() else PolicyState()
        else:
            change = self._classes.update(cluster, attachments, self._plans.atoms)
            others |= self._plans.classify(change, self._classes)
            if others or self._state.classes is not self._classes.table:
                self._state = _state(self._state, self._plans.sets, self._classes, self._told)
                self._told = {id(each.rules): each.rules for each in self._plans.sets}
        rejected = {each for planned in self._plans.sets for each in planned.rejected}
        sets = {ref: self._plans.set_of(each) for ref, each in selected.items()}
        selecting = {ref: each.policies + each.cluster for ref, each in selected.items()}
        return self._state, sets, selecting, tuple(sorted(rejected))


def _state(
    old: PolicyState, planned: Sequence[PlannedSet], classes: ClassTable, told: Mapping[int, Rules]
) -> PolicyState:
    # Parts of the old state that would be equal go on as they are. The rules in `told`, by identity, were
    # in that state together: no two of them have the same id.
    shapes: dict[PolicySetId, Shape] = {}
    sets: dict[PolicySetId, PolicySet] = {}
    rules: dict[RuleId, RuleRef] = {}
    for each in planned:
        if id(each.rules) in told:
            rules.update(each.rules)
    for each in planned:
        enter(shapes, each.value.id, each.shape, "policy sets")
        known = old.sets.get(each.value.id)
        sets[each.value.id] = known if known == each.value else each.value
        for rule, ref in each.rules.items() if id(each.rules) not in told else ():
            enter(rules, rule, ref, "rules")
    same_sets, same_rules = old.sets == sets, old.rules == rules
    if same_sets and same_rules and old.classes is classes.table:
        return old
    return PolicyState(
        sets=old.sets if same_sets else MappingProxyType(sets),
        classes=classes.table,
        rules=old.rules if same_rules else MappingProxyType(rules),
    )
