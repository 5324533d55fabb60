"""All Services of a node: from scratch, and one by one as their input changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple, TypeVar

from twinway.compute.ids import Ledger
from twinway.compute.names import by_name
from twinway.compute.services.claims import Claims, first_come
from twinway.compute.services.service import not_served, service_state
from twinway.model.cluster import Cluster, EndpointSlice, Node, Service
from twinway.model.difference import difference
from twinway.model.net import NotServed, ObjectRef, Rejected
from twinway.model.node import ServiceState

V = TypeVar("V")
States = dict[ObjectRef, ServiceState]
Refusals = dict[ObjectRef, Rejected]


class Served(NamedTuple):
    """Services by name, sorted; what cannot be served; and what is not served of those that are good."""

    states: States
    rejected: list[Rejected]
    not_served: list[NotServed]


def all_services(cluster: Cluster, node: Node | None) -> Served:
    """
    Every Service as this node serves it: the specification.

    Claims to addresses are decided first, then collisions of ids among the Services that are left.
    """
    slices: dict[ObjectRef, list[EndpointSlice]] = defaultdict(list)
    for each in cluster.slices.values():
        slices[each.service].append(each)
    states: States = {}
    rejected: list[Rejected] = []
    for ref in sorted(cluster.services, key=by_name):
        state, unserved = service_state(cluster.services[ref], slices[ref], node)
        rejected += unserved
        if state is not None:
            states[ref] = state
    late = first_come(states.values())
    claiming = {ref: state for ref, state in states.items() if ref not in late}
    _, collided = _enter_all(claiming)
    accepted = {ref: state for ref, state in claiming.items() if ref not in collided}
    untouched = [each for ref, service in cluster.services.items() for each in not_served(service, slices[ref])]
    return Served(accepted, [*rejected, *late.values(), *collided.values()], untouched)


def _enter_all(states: Mapping[ObjectRef, ServiceState]) -> tuple[Ledger, Refusals]:
    """A ledger of all states that fit into it, and the refusals of the others; the first by name wins."""
    ledger = Ledger()
    collided: Refusals = {}
    for ref in sorted(states, key=by_name):
        reason = ledger.enter(states[ref])
        if reason is not None:
            collided[ref] = Rejected(ref, "spec", reason)
    return ledger, collided


class ServicesMemo:
    """
    What `all_services` returns, at the cost of what changed.

    A Service is computed again when it, one of its slices or the node is another object than before.
    A state that comes out equal stays the same object.
    """

    def __init__(self) -> None:
        self._services: Mapping[ObjectRef, Service] = {}
        self._slices: Mapping[ObjectRef, EndpointSlice] = {}
        self._node: Node | None = None
        self._slices_of: dict[ObjectRef, dict[ObjectRef, EndpointSlice]] = {}
        self._states: States = {}
        self._unserved: dict[ObjectRef, tuple[Rejected, ...]] = {}
        self._not_served: dict[ObjectRef, tuple[NotServed, ...]] = {}
        self._claims = Claims()
        self._late: Refusals = {}
        self._ledger = Ledger()
        self._collided: Refusals = {}
        self._accepted: States = {}

    def update(self, cluster: Cluster, node: Node | None) -> Served:
        """The same as `all_services(cluster, node)`."""
        touched = self._touched(cluster, node)
        self._services, self._slices, self._node = cluster.services, cluster.slices, node
        self._accept({ref for ref in touched if self._compute(ref)})
        unserved = chain.from_iterable(self._unserved.values())
        rejected = [*unserved, *self._late.values(), *self._collided.values()]
        return Served(self._accepted, rejected, list(chain.from_iterable(self._not_served.values())))

    def _touched(self, cluster: Cluster, node: Node | None) -> set[ObjectRef]:
        gone, come = difference(self._services, cluster.services)
        touched = {each.ref for each in chain(gone, come)}
        slices_gone, slices_come = difference(self._slices, cluster.slices)
        for each in slices_gone:
            del self._slices_of[each.service][each.ref]
            if not self._slices_of[each.service]:
                del self._slices_of[each.service]
            touched.add(each.service)
        for each in slices_come:
            self._slices_of.setdefault(each.service, {})[each.ref] = each
            touched.add(each.service)
        if node is not self._node:
            touched.update(cluster.services)
        return touched

    def _compute(self, ref: ObjectRef) -> bool:
        """Compute one Service; returns whether its state changed."""
        service = self._services.get(ref)
        slices = self._slices_of.get(ref, {})
        state, unserved = service_state(service, tuple(slices.values()), self._node) if service else (None, ())
        _put(self._unserved, ref, unserved or None)
        _put(self._not_served, ref, (not_served(service, slices.values()) or None) if service else None)
        known = self._states.get(ref)
        if state == known:
            return False
        if known is not None:
            self._claims.leave(known)
        if state is not None:
            self._claims.enter(state)
        _put(self._states, ref, state)
        return True

    def _accept(self, moved: set[ObjectRef]) -> None:
        late = self._claims.refused()
        moved |= late.keys() ^ self._late.keys()
        self._late = late
        changed = {ref: self._states.get(ref) if ref not in late else None for ref in moved}
        # After a collision of ids, which Services are accepted depends on all of them: start over.
        if self._collided or not self._enter(changed):
            claiming = {ref: state for ref, state in self._states.items() if ref not in late}
            self._ledger, self._collided = _enter_all(claiming)
            changed = {ref: state for ref, state in claiming.items() if ref not in self._collided}
            changed.update(dict.fromkeys(self._accepted.keys() - changed.keys()))
        self._accepted = _updated(self._accepted, changed)

    def _enter(self, changed: Mapping[ObjectRef, ServiceState | None]) -> bool:
        for ref in changed.keys() & self._accepted.keys():
            self._ledger.leave(self._accepted[ref])
        return all(state is None or self._ledger.enter(state) is None for state in changed.values())


def _updated(states: States, changed: Mapping[ObjectRef, ServiceState | None]) -> States:
    """A copy of `states`, in order, with these changes; None removes a state."""
    updated = dict(states)
    for ref, state in changed.items():
        _put(updated, ref, state)
    if all(ref in states or state is None for ref, state in changed.items()):
        return updated
    return {ref: updated[ref] for ref in sorted(updated, key=by_name)}


def _put(mapping: dict[ObjectRef, V], ref: ObjectRef, value: V | None) -> None:
    if value is None:
        mapping.pop(ref, None)
    else:
        mapping[ref] = value
