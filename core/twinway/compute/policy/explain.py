"""What policy says of one new connection, and which rule: the tables in force, asked as the kernel asks."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

from twinway.compute.policy.evaluate import Tables
from twinway.model.net import IPAddress, IPNetwork, ObjectRef
from twinway.model.node import ClassId, Endpoint, NodeState, PolicySetId, PolicyState, Verdict
from twinway.model.policy import Direction
from twinway.model.walk import UNLIMITED


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection leads: an address, and the port where the protocol has ports."""

    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the policy of one pod of this node says of a connection to `place`."""

    pod: ObjectRef
    direction: Direction
    place: Place
    verdict: Verdict


def explain(state: NodeState, source: IPAddress, place: Place, protocol: int) -> tuple[Judgement, ...]:
    """
    The judgement at each end that is a pod of this node; none where neither is.

    A Service's address stands for its backends: each of them is judged. What is allowed whatever
    policy says is allowed here, too: a pod to its own address, and the node to its pods.
    """
    return tuple(
        judgement
        for backend in backends(state, place, protocol)
        for judgement in judged(state, source, backend, protocol, translated=backend is not place)
    )


def backends(state: NodeState, place: Place, protocol: int) -> tuple[Place, ...]:
    """Where a connection to `place` may lead from this node: a Service's backends, else the place itself."""
    found = [
        tuple(Place(backend.address, backend.port) for backend in frontend.backends.backends)
        for service in state.services.values()
        for frontend in service.frontends
        if (frontend.address, frontend.port, frontend.protocol.number) == (place.address, place.port, protocol)
    ]
    return found[0] if found else (place,)


def judged(
    state: NodeState, source: IPAddress, place: Place, protocol: int, *, translated: bool
) -> list[Judgement]:
    """
    The judgement at each end that is a pod of this node on a connection to `place`, which is no Service's.

    `translated`: it was made to a Service. Then a pod that reaches itself is judged like any client.
    """
    own_address = not translated and source == place.address
    ends = (
        (Direction.EGRESS, source, place.address),
        (Direction.INGRESS, place.address, source),
    )
    return [
        Judgement(
            ref,
            direction,
            place,
            UNLIMITED if own_address else _verdict(state, (endpoint, direction, peer), place, protocol),
        )
        for direction, own, peer in ends
        for ref, endpoint in state.endpoints.items()
        if own in endpoint.attachment.addresses
    ]


def _verdict(
    state: NodeState, asked: tuple[Endpoint, Direction, IPAddress], place: Place, protocol: int
) -> Verdict:
    endpoint, direction, peer = asked
    if direction is Direction.INGRESS and peer in state.addresses:
        return UNLIMITED
    tables = Tables(_part(state.policy, endpoint.policy, peer))
    return tables.verdict(endpoint.policy, direction, peer, protocol, place.port)


# A node's tables are large; one question needs one set of them, and the prefixes of one address.
def _part(policy: PolicyState, set_id: PolicySetId, peer: IPAddress) -> PolicyState:
    sets = {set_id: policy.sets[set_id]} if set_id in policy.sets else {}
    prefixes = [ip_network(f"{peer}/{bits}", strict=False) for bits in range(peer.max_prefixlen + 1)]
    classes: dict[IPNetwork, ClassId] = {each: policy.classes[each] for each in prefixes if each in policy.classes}
    return PolicyState(sets, classes)
