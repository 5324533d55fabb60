"""The policy set of one plan, kept up to date: both sides together, under the id of what they follow from."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from twinway.compute.classes.classes import ClassChange
from twinway.compute.ids import content_id
from twinway.compute.policy.plan import Plan
from twinway.compute.policy.rulings import Ruling, Rulings
from twinway.compute.policy.sides import LIMIT, ROWS, Live, Side
from twinway.model.net import Rejected
from twinway.model.node import PolicySet, PolicySetId, RuleId, RuleRef
from twinway.model.policy import Direction
from twinway.model.verdicts import GroupedEntries

Shape = tuple[tuple[bytes, Ruling], ...]
"""
For each direction the plan's content, and the ruling under class 0.

Under equal shapes a class that has entries always has the same ones: what they say follows from the
shape and from the class's members, and which classes have none from the shape's ruling. So one id
stands for them, and a set that gains and loses classes keeps it.
"""

_TOO_LARGE = (
    f"singles out more than {ROWS:,} ports, or makes more than {LIMIT:,} entries, with the other policies of the "
    "pods it selects: they are closed in this direction; name ranges of ports, and fewer peers"
)


class PlannedSet:
    """What pods of one plan are under; `value` is another object after each update that changed it."""

    def __init__(self, plan: Plan, rulings: Rulings) -> None:
        """To be updated with all classes in use before anything is read."""
        self.plan = plan
        self.value = PolicySet(PolicySetId(0), GroupedEntries())
        self.least = 0
        """With fewer classes in use it may be another, even where none that it asks for came or went."""
        self.shape: Shape = ()
        self.rules: Mapping[RuleId, RuleRef] = MappingProxyType({})
        self.rejected: tuple[Rejected, ...] = ()
        self._sides = {direction: Side(plan, direction, rulings) for direction in Direction}

    def update(self, change: ClassChange, live: Live) -> bool:
        """Take over classes that came and went; whether the set is another now."""
        sides = self._sides.values()
        changed = [side.update(change, live) for side in sides]
        self.least = max(side.least for side in sides)
        if not any(changed):
            return False
        shape = tuple((side.content, side.default) for side in sides)
        identity = self.value.id
        if shape != self.shape:
            self.shape = shape
            identity = PolicySetId(content_id(b"policy set", _bytes(shape)))
        self.value = PolicySet(identity, GroupedEntries(tuple(chain.from_iterable(side.groups for side in sides))))
        self._tell(frozenset().union(*(side.rules for side in sides)))
        self.rejected = tuple(
            Rejected(self.plan.closing[direction].object, f"spec.{direction.name.lower()}", _TOO_LARGE)
            for direction, side in self._sides.items()
            if side.too_large
        )
        return True

    def _tell(self, rules: frozenset[RuleId]) -> None:
        if rules != self.rules.keys():
            self.rules = MappingProxyType({rule: self.plan.rules[rule] for rule in rules})


def _bytes(shape: Shape) -> bytes:
    # Each side says first how long it is: two sides cannot be taken for one.
    return b"".join(
        len(content).to_bytes(8, "big") + content + ruling.id.to_bytes(8, "big") for content, ruling in shape
    )
