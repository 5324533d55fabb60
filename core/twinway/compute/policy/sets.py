"""The policy set of one plan, kept up to date: the entries of both directions, under an id of their content."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from twinway.compute.classes.classes import ClassChange
from twinway.compute.ids import content_id
from twinway.compute.policy.directions import LIMIT, ROWS, DirectionEntries, Live
from twinway.compute.policy.peer_verdicts import PeerVerdicts, VerdictsInUse
from twinway.compute.policy.plan import Plan
from twinway.model.net import Rejected
from twinway.model.node import PolicySet, PolicySetId, RuleId, RuleRef
from twinway.model.policy import Direction
from twinway.model.verdicts import GroupedEntries

Shape = tuple[tuple[bytes, PeerVerdicts], ...]
"""
For each direction the plan's content, and the verdicts under class 0.

Under equal shapes a class that has entries always has the same ones: their verdicts follow from the
shape and from the class's members, and the shape's verdicts say which classes have none. So one id
stands for them all, and a set that gains or loses classes keeps it.
"""

_TOO_LARGE = (
    f"names more than {ROWS:,} ports, or makes more than {LIMIT:,} entries, with the other policies of the pods "
    "that it selects: these are closed in this direction; name ranges of ports, and fewer peers"
)


class PlannedSet:
    """The set of the pods of one plan; `value` is a new object after each update that changed it."""

    def __init__(self, plan: Plan, in_use: VerdictsInUse) -> None:
        """To be updated with all classes in use before anything is read."""
        self.plan = plan
        self.value = PolicySet(PolicySetId(0), GroupedEntries())
        self.least = 0
        """With fewer classes in use the set may change, even where no class of its own atoms came or went."""
        self.shape: Shape = ()
        self.rules: Mapping[RuleId, RuleRef] = MappingProxyType({})
        self.rejected: tuple[Rejected, ...] = ()
        self._directions = {each: DirectionEntries(plan, each, in_use) for each in Direction}

    def update(self, change: ClassChange, live: Live) -> bool:
        """Take over classes that came and went; returns whether the set changed."""
        both = self._directions.values()
        changed = [each.update(change, live) for each in both]
        self.least = max(each.least for each in both)
        if not any(changed):
            return False
        shape = tuple((each.content, each.default) for each in both)
        identity = self.value.id
        if shape != self.shape:
            self.shape = shape
            identity = PolicySetId(content_id(b"policy set", _bytes(shape)))
        self.value = PolicySet(identity, GroupedEntries(tuple(chain.from_iterable(each.groups for each in both))))
        self._name_rules(frozenset().union(*(each.rules for each in both)))
        self.rejected = tuple(
            Rejected(self.plan.closing[direction].object, f"spec.{direction.name.lower()}", _TOO_LARGE)
            for direction, entries in self._directions.items()
            if entries.too_large
        )
        return True

    def _name_rules(self, rules: frozenset[RuleId]) -> None:
        if rules != self.rules.keys():
            self.rules = MappingProxyType({rule: self.plan.rules[rule] for rule in rules})


def _bytes(shape: Shape) -> bytes:
    # Each part begins with its length, so that two different shapes never have the same bytes.
    return b"".join(
        len(content).to_bytes(8, "big") + content + verdicts.id.to_bytes(8, "big") for content, verdicts in shape
    )
