"""Random Services, with selectors or with EndpointSlices."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twinway_conformance import cast, objects
from twinway_conformance.fuzz.case import State
from twinway_conformance.objects import Object, at, both
from twinway_conformance.stage import CONDITIONS

BASE_KINDS = ("Node", "Namespace", "Pod")
_NAMES = ("red", "green", "blue", "gold")
_FIRST = 100  # 10.96.0.100 and on
_UNDEFINED = 9999
_TARGETS: dict[str, tuple[int | str, ...]] = {"TCP": (80, "web", "own", 81, 9), "UDP": (53, "dns", 54, "log")}


def some_services(random: Random, base: Sequence[Object], families: Sequence[int]) -> list[Object]:
    """Some Services; some of them have EndpointSlices of random members in random conditions."""
    made = []
    for index, name in enumerate(_NAMES):
        if random.random() < 0.4:
            continue
        full = f"{random.choice(list(cast.NAMESPACES))}/{name}"
        addresses = both(f"10.96.0.{_FIRST + index}", families)
        if random.random() < 0.5:
            service = objects.service(full, addresses, _ports(random), _selector(random))
            if random.random() < 0.2:
                service["spec"]["publishNotReadyAddresses"] = True
            made.append(service)
        else:
            service = objects.service(full, addresses, _ports(random))
            made += [service, *_slices(random, service, base, families)]
        if random.random() < 0.2:
            service["spec"]["internalTrafficPolicy"] = "Local"
    return made


def doors(state: State) -> list[tuple[str, str]]:
    """(HOST:PORT, protocol) of every port of every Service, and of one port that it lacks."""
    found = []
    for service in state:
        if service["kind"] == "Service":
            for address in service["spec"]["clusterIPs"]:
                found += [
                    (at(address, port["port"]), port["protocol"].lower()) for port in service["spec"]["ports"]
                ]
                found.append((at(address, _UNDEFINED), "tcp"))
    return found


def consistent(state: State) -> State:
    """The state without EndpointSlices whose Service is missing, and with one Service at each address."""
    owners: dict[str, tuple[str, str]] = {}
    for thing in state:
        if thing["kind"] == "Service":
            owners[thing["spec"]["clusterIP"]] = objects.key_of(thing)[1:]
    kept = []
    for thing in state:
        own = objects.key_of(thing)[1:]
        if thing["kind"] == "Service" and owners[thing["spec"]["clusterIP"]] != own:
            continue
        if thing["kind"] == "EndpointSlice":
            owner = thing["metadata"]["labels"]["kubernetes.io/service-name"]
            if (own[0], owner) not in owners.values():
                continue
        kept.append(thing)
    return tuple(kept)


def _ports(random: Random) -> list[Object]:
    made = []
    for number in random.sample((8080, 8081, 5353), random.randint(1, 3)):
        protocol = random.choice(("TCP", "UDP"))
        made.append(objects.port(number, random.choice(_TARGETS[protocol]), protocol))
    return made


def _selector(random: Random) -> dict[str, str]:
    return random.choice(({"role": "server"}, {"role": "client"}, {"a": "x"}, {"name": "far"}, {"name": "nobody"}))


def _slices(random: Random, service: Object, base: Sequence[Object], families: Sequence[int]) -> list[Object]:
    pods = {objects.named(thing): thing for thing in base if thing["kind"] == "Pod"}
    members = random.sample(sorted(cast.ADDRESS), random.randint(0, 4))
    numbers = {
        port["name"]: random.choice((80, 9) if port["protocol"] == "TCP" else (53, 54))
        for port in service["spec"]["ports"]
    }
    conditions = {name: CONDITIONS[random.choice(("ready", "ready", *CONDITIONS))] for name in members}
    silent = {name for name in members if random.random() < 0.3}
    made = []
    for index, family in enumerate(families):
        ends = []
        for name in members:
            ready, serving, terminating = conditions[name]
            address = cast.pod_addresses(name, families)[index]
            end = objects.endpoint(pods[name], address, ready=ready, serving=serving, terminating=terminating)
            if serving and name in silent:
                del end["conditions"]["serving"]
            ends.append(end)
        made.append(objects.endpoint_slice(service, family, ends, numbers))
    return made
