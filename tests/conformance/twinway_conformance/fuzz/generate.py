"""Generate a case from a seed. The same seed gives the same case on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twinway_conformance import cast
from twinway_conformance.fuzz import services
from twinway_conformance.fuzz.case import Case, State
from twinway_conformance.fuzz.policies import cluster_policies, network_policies
from twinway_conformance.fuzz.words import LABELS, some_labels
from twinway_conformance.objects import Object, at, both, key_of
from twinway_conformance.policies import with_labels
from twinway_conformance.probes import AT_ONCE_SECONDS, Query

QUERIES = 70
_CLOSED = 9


def case(seed: int, families: Sequence[int], *, policies: bool, steps: int = 2) -> Case:
    """A random state and changes of it, with queries for all of them."""
    random = Random(seed)
    states = [_state(random, families, policies=policies)]
    while len(states) < steps:
        states.append(_changed(random, states[-1], _state(random, families, policies=policies)))
    return Case(tuple(states), tuple(_queries(random, states, families)))


def _state(random: Random, families: Sequence[int], *, policies: bool) -> State:
    base = [_relabelled(random, thing) for thing in cast.cluster(families)]
    made = services.some_services(random, base, families)
    if policies:
        made += network_policies(random, families) + cluster_policies(random, families)
    return (*base, *made)


def _relabelled(random: Random, thing: Object) -> Object:
    if thing["kind"] in ("Pod", "Namespace"):
        return with_labels(thing, some_labels(random, LABELS))
    return thing


def _changed(random: Random, before: State, other: State) -> State:
    # Each object stays, is removed, or is replaced by that of the other state. The share decides how many.
    share = random.choice((0.1, 0.3, 0.9))
    fresh = {key_of(thing): thing for thing in other}
    kept: dict[tuple[str, str, str], Object] = {}
    for thing in before:
        key = key_of(thing)
        if random.random() >= share:
            kept[key] = thing
        elif key in fresh:
            kept[key] = fresh[key]
    for key, thing in fresh.items():
        if key not in kept and (thing["kind"] in services.BASE_KINDS or random.random() < share):
            kept[key] = thing
    return services.consistent(tuple(kept.values()))


def _queries(random: Random, states: Sequence[State], families: Sequence[int]) -> list[Query]:
    sources = [*cast.HOME, cast.N1, cast.N2]
    doors = _pod_doors(families)
    through = sorted({door for state in states for door in services.doors(state)})
    chosen: dict[tuple[str, str, str], Query] = {}
    while len(chosen) < QUERIES:
        asks_service = through and random.random() < 0.4
        to, protocol = random.choice(through if asks_service else doors)
        source = random.choice(sources)
        chosen[source, to, protocol] = Query(source, to, protocol, 3 if asks_service else 1, AT_ONCE_SECONDS)
    return list(chosen.values())


def _pod_doors(families: Sequence[int]) -> list[tuple[str, str]]:
    doors = []
    for name, own in cast.OWN_PORT.items():
        for address in both(cast.ADDRESS[name], families):
            for number, protocol in ((80, "tcp"), (own, "tcp"), (53, "udp"), (54, "udp"), (_CLOSED, "tcp")):
                doors.append((at(address, number), protocol))
    for address in cast.pod_addresses(cast.HOST, families):
        doors += [(at(address, cast.HOST_PORT), "tcp"), (at(address, cast.HOST_PORT), "udp")]
    return doors
