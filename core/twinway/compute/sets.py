"""The policy set of one plan, kept up to date: both sides together, under the id of their content."""

from __future__ import annotations

from twinway.compute.classes import ClassChange
from twinway.compute.ids import content_id
from twinway.compute.plan import Plan
from twinway.compute.rulings import Ruling, Rulings
from twinway.compute.sides import LIMIT, ROWS, Live, Side
from twinway.model.net import Rejected
from twinway.model.node import NO_CLASS, ClassId, PolicySet, PolicySetId, RuleId
from twinway.model.policy import Direction

Shape = tuple[tuple[Ruling, tuple[tuple[ClassId, Ruling], ...]], ...]
"""For each direction the ruling under class 0 and those under other classes: equal for equal entries."""

_TOO_LARGE = (
    f"singles out more than {ROWS:,} ports, or makes more than {LIMIT:,} entries, with the other policies of the "
    "pods it selects: they are closed in this direction; name ranges of ports, and fewer peers"
)


class PlannedSet:
    """What pods of one plan are under; `value` is another object after each update that changed it."""

    def __init__(self, plan: Plan, rulings: Rulings) -> None:
        """To be updated with all classes in use before anything is read."""
        self.plan = plan
        self.value = PolicySet(PolicySetId(0), ())
        self.shape: Shape = ()
        self.rules: frozenset[RuleId] = frozenset()
        self.rejected: tuple[Rejected, ...] = ()
        self._sides = {direction: Side(plan, direction, rulings) for direction in Direction}

    def update(self, change: ClassChange, live: Live) -> bool:
        """Take over classes that came and went; whether the set is another now."""
        sides = self._sides.values()
        changed = [side.update(change, live) for side in sides]
        if not any(changed):
            return False
        self.shape = tuple((side.default, _sorted(side.explicit)) for side in sides)
        entries = tuple(entry for side in sides for entry in side.entries())
        self.value = PolicySet(PolicySetId(content_id(b"policy set", _bytes(self.shape))), entries)
        self.rules = frozenset().union(*(side.rules() for side in sides))
        self.rejected = tuple(
            Rejected(self.plan.closing[direction].object, f"spec.{direction.name.lower()}", _TOO_LARGE)
            for direction, side in self._sides.items()
            if side.too_large
        )
        return True


def _sorted(rulings: dict[ClassId, Ruling]) -> tuple[tuple[ClassId, Ruling], ...]:
    return tuple((id_, rulings[id_]) for id_ in sorted(rulings))


def _bytes(shape: Shape) -> bytes:
    # Each side begins with class 0, which no other entry has: two sides cannot be taken for one.
    return b"".join(
        id_.to_bytes(8, "big") + ruling.id.to_bytes(8, "big")
        for default, explicit in shape
        for id_, ruling in ((NO_CLASS, default), *explicit)
    )
