"""One address and port is answered by one Service: of several, the first by name."""

from __future__ import annotations

from ipaddress import ip_address

from twinway.compute.ids import backend_set
from twinway.compute.services.claims import Claims, first_come
from twinway.model.net import ObjectRef, Protocol
from twinway.model.node import Frontend, Scope, ServiceState


def state(name: str, *ports: int) -> ServiceState:
    """A Service on these ports of one address."""
    frontends = tuple(
        Frontend(ip_address("10.96.0.1"), port, Protocol.TCP, Scope.INTERNAL, backend_set(())) for port in ports
    )
    return ServiceState(ObjectRef("Service", "shop", name), frontends, ())


def late(*states: ServiceState) -> list[str]:
    """The names of those that come too late; both ways to tell agree, in any order of entering."""
    claims = Claims()
    for each in reversed(states):
        claims.enter(each)
    assert claims.refused() == first_come(states)
    return [ref.name for ref in first_come(states)]


def test_the_first_by_name_wins() -> None:
    """The other is reported who has what it wanted."""
    assert late(state("a", 80), state("b", 80, 81)) == ["b"]
    (reason,) = first_come([state("a", 80), state("b", 80, 81)]).values()
    assert str(reason) == (
        "Service shop/b: spec.clusterIP: 10.96.0.1 port 80 TCP is served by Service shop/a already: choose another"
    )


def test_different_ports_of_one_address_are_no_conflict() -> None:
    """An address may be shared."""
    assert late(state("a", 80), state("b", 81)) == []


def test_who_lost_stands_in_nobodys_way() -> None:
    """`c` wants only what `b` wanted in vain."""
    assert late(state("a", 80), state("b", 80, 81), state("c", 81)) == ["b"]


def test_who_leaves_makes_room() -> None:
    """The next by name is served as if it had always been first."""
    claims = Claims()
    for each in (state("a", 80), state("b", 80), state("c", 80)):
        claims.enter(each)
    claims.leave(state("a", 80))
    assert [ref.name for ref in claims.refused()] == ["c"]
