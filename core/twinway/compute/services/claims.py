"""Who answers on which address and port: one Service each, of several the first by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from twinway.compute.names import by_name
from twinway.model.net import IPAddress, ObjectRef, Protocol, Rejected
from twinway.model.node import Frontend, Scope, ServiceState

Claim = tuple[IPAddress, int, Protocol, Scope]


def _claim(frontend: Frontend) -> Claim:
    return frontend.address, frontend.port, frontend.protocol, frontend.scope


def claims_of(state: ServiceState) -> Iterator[Claim]:
    """What a Service wants for itself alone."""
    return (_claim(each) for each in state.frontends)


def refusal(state: ServiceState, taken: Mapping[Claim, ObjectRef]) -> Rejected | None:
    """Why a Service cannot have what it claims; None if it can."""
    for frontend in state.frontends:
        holder = taken.get(_claim(frontend))
        if holder is not None:
            place = f"{frontend.address} port {frontend.port} {frontend.protocol}"
            return Rejected(state.ref, "spec.clusterIP", f"{place} is served by {holder} already: choose another")
    return None


class Claims:
    """All claims, kept up to date Service by Service; the outcome depends on what is there alone."""

    def __init__(self) -> None:
        """Nobody claims anything."""
        self._claimants: dict[Claim, dict[ObjectRef, ServiceState]] = {}
        self._contested: set[Claim] = set()

    def enter(self, state: ServiceState) -> None:
        """Note what a Service claims."""
        for claim in claims_of(state):
            claimants = self._claimants.setdefault(claim, {})
            claimants[state.ref] = state
            if len(claimants) > 1:
                self._contested.add(claim)

    def leave(self, state: ServiceState) -> None:
        """Take back what `enter` noted of this state."""
        for claim in claims_of(state):
            claimants = self._claimants[claim]
            del claimants[state.ref]
            if len(claimants) < 2:
                self._contested.discard(claim)
            if not claimants:
                del self._claimants[claim]

    def refused(self) -> dict[ObjectRef, Rejected]:
        """The Services that come too late. Costs work only for those that share a claim."""
        rivals = {ref: state for claim in self._contested for ref, state in self._claimants[claim].items()}
        return first_come(rivals[ref] for ref in sorted(rivals, key=by_name))


def first_come(states: Iterable[ServiceState]) -> dict[ObjectRef, Rejected]:
    """Those of the Services, given in order, that claim what an earlier one has."""
    taken: dict[Claim, ObjectRef] = {}
    refused: dict[ObjectRef, Rejected] = {}
    for state in states:
        reason = refusal(state, taken)
        if reason is None:
            taken.update((claim, state.ref) for claim in claims_of(state))
        else:
            refused[state.ref] = reason
    return refused
