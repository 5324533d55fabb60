"""The plans in use: one for all pods that the same policies select, with the policy set of each."""

from __future__ import annotations

from collections.abc import Mapping

from twinway.compute.atoms import Atom, AtomId
from twinway.compute.classes import AddressClass, ClassChange
from twinway.compute.collisions import enter
from twinway.compute.plan import Selected, make_plan
from twinway.compute.rulings import Rulings
from twinway.compute.sets import PlannedSet
from twinway.model.cluster import ContainerPort
from twinway.model.net import ObjectRef
from twinway.model.node import NO_POLICY, ClassId, PolicySetId

_Key = tuple[tuple[int, ...], tuple[int, ...], tuple[ContainerPort, ...]]


class PlansInUse:
    """Plans by what selects; made when the first pod comes under them, dropped with the last."""

    def __init__(self) -> None:
        """None is in use."""
        self.atoms: Mapping[AtomId, Atom] = {}
        self._rulings = Rulings()
        # Beside each plan stands what it was made of, so that the identities in its key stay taken.
        self._plans: dict[_Key, tuple[Selected, PlannedSet | None]] = {}
        self._fresh: set[PlannedSet] = set()

    @property
    def sets(self) -> list[PlannedSet]:
        """The sets of all plans in use."""
        return [planned for _, planned in self._plans.values() if planned is not None]

    def update(self, selected: Mapping[ObjectRef, Selected]) -> bool:
        """Have the plans that these pods need; whether they are others than before."""
        before = self._plans
        self._plans = {}
        self._fresh = set()
        for each in selected.values():
            key = _key(each)
            if key not in self._plans:
                self._plans[key] = before.get(key) or self._make(each)
        if self._plans.keys() == before.keys():
            return False
        self.atoms = self._all_atoms()
        return True

    def classify(self, change: ClassChange, live: Mapping[ClassId, AddressClass]) -> bool:
        """Bring the sets up to date with the classes in use; whether any of them changed."""
        everything = ClassChange(come=tuple(live.values()), gone=()) if self._fresh else change
        changed = False
        for planned in self.sets:
            if planned in self._fresh:
                changed |= planned.update(everything, live)
            elif change.come or change.gone:
                changed |= planned.update(change, live)
        return changed

    def set_of(self, selected: Selected) -> PolicySetId:
        """The policy set of pods that are selected so, `NO_POLICY` where nothing limits them."""
        planned = self._plans[_key(selected)][1]
        return planned.value.id if planned else NO_POLICY

    def _make(self, selected: Selected) -> tuple[Selected, PlannedSet | None]:
        plan = make_plan(selected)
        if plan is None:
            return selected, None
        planned = PlannedSet(plan, self._rulings)
        self._fresh.add(planned)
        return selected, planned

    def _all_atoms(self) -> dict[AtomId, Atom]:
        atoms: dict[AtomId, Atom] = {}
        for planned in self.sets:
            for id_, atom in planned.plan.atoms.items():
                enter(atoms, id_, atom, "peers of policies")
        return atoms


def _key(selected: Selected) -> _Key:
    return tuple(map(id, selected.policies)), tuple(map(id, selected.cluster)), selected.ports
