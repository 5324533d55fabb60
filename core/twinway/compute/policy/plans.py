"""The plans in use: one for all pods that the same policies select, with the policy set of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinway.compute.classes.atoms import Atom, AtomId
from twinway.compute.classes.classes import ClassChange, ClassTable
from twinway.compute.collisions import enter
from twinway.compute.policy.peer_verdicts import VerdictsInUse
from twinway.compute.policy.plan import Selected, make_plan
from twinway.compute.policy.sets import PlannedSet
from twinway.model.net import ObjectRef
from twinway.model.node import NO_POLICY, PolicySetId

_Key = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[str, str, int], ...]]


class PlansInUse:
    """Plans by what selects; made when the first pod comes under them, dropped with the last."""

    def __init__(self) -> None:
        """No plan is in use."""
        self.atoms: Mapping[AtomId, Atom] = {}
        self._asking: dict[AtomId, set[PlannedSet]] = {}
        self._in_use = VerdictsInUse()
        # Each plan is kept with the objects that it was made of, so that the identities in its key stay in use.
        self._plans: dict[_Key, tuple[Selected, PlannedSet | None]] = {}
        self._keys: dict[int, tuple[Selected, _Key]] = {}  # by identity: a key is long
        self._fresh: set[PlannedSet] = set()

    @property
    def sets(self) -> list[PlannedSet]:
        """The sets of all plans in use."""
        return _planned(self._plans.values())

    def update(self, selected: Mapping[ObjectRef, Selected]) -> bool:
        """Make the plans that these pods need, and drop the others; returns whether the plans changed."""
        self._fresh = set()
        keys = {id(each): self._keys.get(id(each)) or (each, _key(each)) for each in selected.values()}
        known, self._keys = self._keys.keys(), keys
        if keys.keys() == known:
            return False
        before = self._plans
        self._plans = {}
        for each, key in keys.values():
            if key not in self._plans:
                self._plans[key] = before.get(key) or self._make(each)
        if self._plans.keys() == before.keys():
            return False
        come = [self._plans[key] for key in self._plans.keys() - before.keys()]
        gone = [before[key] for key in before.keys() - self._plans.keys()]
        self._note_atoms(_planned(come), _planned(gone))
        return True

    def classify(self, change: ClassChange, classes: ClassTable) -> bool:
        """Bring the sets up to date with the classes in use; returns whether any of them changed."""
        everything, live = classes.everything(), classes.live
        asked = {planned for atom in change.atoms & self._asking.keys() for planned in self._asking[atom]}
        changed = False
        for planned in self.sets:
            if planned in self._fresh:
                changed |= planned.update(everything, live)
            elif planned in asked or (change.is_any and len(live) < planned.least):
                changed |= planned.update(change, live)
        return changed

    def set_of(self, selected: Selected) -> PolicySetId:
        """The policy set of pods that these policies select, `NO_POLICY` where nothing limits them."""
        planned = self._plans[self._keys[id(selected)][1]][1]
        return planned.value.id if planned else NO_POLICY

    def _make(self, selected: Selected) -> tuple[Selected, PlannedSet | None]:
        plan = make_plan(selected)
        if plan is None:
            return selected, None
        planned = PlannedSet(plan, self._in_use)
        self._fresh.add(planned)
        return selected, planned

    def _note_atoms(self, come: Iterable[PlannedSet], gone: Iterable[PlannedSet]) -> None:
        atoms = dict(self.atoms)
        for planned in come:
            for id_, atom in planned.plan.atoms.items():
                enter(atoms, id_, atom, "peers of policies")
                self._asking.setdefault(id_, set()).add(planned)
        for planned in gone:
            for id_ in planned.plan.atoms:
                self._asking[id_].discard(planned)
                if not self._asking[id_]:
                    del self._asking[id_], atoms[id_]
        self.atoms = atoms


def _planned(plans: Iterable[tuple[Selected, PlannedSet | None]]) -> list[PlannedSet]:
    return [planned for _, planned in plans if planned is not None]


def _key(selected: Selected) -> _Key:
    # Numbers and words are quicker to hash than the objects.
    ports = tuple((port.name, port.protocol.value, port.port) for port in selected.ports)
    return tuple(map(id, selected.policies)), tuple(map(id, selected.cluster)), ports
