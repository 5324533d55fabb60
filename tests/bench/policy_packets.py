"""What policy costs packets: pods under 0, 1 and 120 policies, asked side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.bench import http, shop
from tests.bench.http import MODES, PORT
from tests.bench.pairs import ratio
from tests.bench.places import Lab, Pair, lab
from tests.bench.results import Effort, Figure, Section, of_ratio
from tests.bench.throughput import compared, costs, efforts, plain, prepare, rates, spent

DRIVERS = ("sockops", "tc")
NONE, AGAIN = "no policy", "no policy, another pair"
POLICIES = {NONE: 0, AGAIN: 0, "1 policy": 1, "120 policies": 120}
METHOD = (
    "Pairs of pods on veth, through a Service each; nginx and wrk as for throughput, in rounds. Two of them are "
    "on a node without any policy; on another node the server of a pair is under so many NetworkPolicies, each of "
    "another block and other ports, and one of them lets the client in. Ratios to the first pair; the second one "
    "is the noise."
)


class At(NamedTuple):
    """A pair of pods, and the lab that it is in."""

    lab: Lab
    pair: Pair


def measure(effort: Effort) -> Section:
    """Both drivers, keep-alive and a connection a request."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        with clusters(driver) as pairs:
            for mode in MODES:
                done = compared({name: at.pair for name, at in pairs.items()}, mode, effort)
                found = raw[f"{driver}, {mode}"] = {"rounds": done}
                for name, count in POLICIES.items():
                    if name != NONE:
                        bar = 0.99 if count else None
                        what = f"{driver}, {mode}: {name}"
                        figures.append(of_ratio(what, ratio(rates(done), name, NONE), bar))
                        figures.append(of_ratio(f"{what}, by processor time", ratio(efforts(done), name, NONE)))
                for name, at in pairs.items():
                    if name != AGAIN:
                        cost, requests = spent(at.lab, at.pair, mode, effort)
                        found[name] = {"programs": plain(cost), "requests": requests}
                        figures += costs(f"{driver}, {mode}, {name}", cost, requests)
    return Section("packets", "Policy and packets", METHOD, tuple(figures), raw)


@contextmanager
def clusters(driver: str) -> Iterator[dict[str, At]]:
    """Two labs, one without any policy; each pair by what it is called."""
    free = [number for number, count in enumerate(POLICIES.values()) if not count]
    held = [number for number, count in enumerate(POLICIES.values()) if count]
    with lab(driver, *_objects(free), name="free") as one, lab(driver, *_objects(held), name="held") as other:
        homes = {number: one if number in free else other for number in (*free, *held)}
        ends = {
            number: made.places(f"bench/client-{number}", f"bench/web-{number}") for number, made in homes.items()
        }
        with http.serving(*(server for _, server in ends.values())) as workers:
            pairs = {}
            for number, name in enumerate(POLICIES):
                client, server = ends[number]
                pairs[name] = At(homes[number], Pair(client, server, _vip(number), 80, workers[server]))
                prepare(pairs[name].pair)
            yield pairs


def _objects(numbers: Iterable[int]) -> Iterator[shop.Object]:
    yield shop.NODE
    for number in numbers:
        client, web = f"client-{number}", f"web-{number}"
        yield from (shop.pod(client), shop.pod(web), shop.service(web, {"name": web}, _vip(number), 80, PORT))
        yield from policies(web, client, list(POLICIES.values())[number])


def policies(server: str, client: str, count: int) -> Iterator[shop.Object]:
    """So many policies for a server, the last of which lets the client in."""
    for number in range(count - 1):
        block = {"ipBlock": {"cidr": f"10.{number}.0.0/16", "except": [f"10.{number}.128.0/20"]}}
        ports = [{"protocol": "TCP", "port": 9000 + number, "endPort": 9100 + number}]
        rule = {"from": [block], "ports": ports}
        yield shop.policy(f"{server}-{number}", {"name": server}, ingress=[rule], policyTypes=["Ingress"])
    if count:
        rule = {
            "from": [{"podSelector": {"matchLabels": {"name": client}}}],
            "ports": [{"protocol": "TCP", "port": PORT}],
        }
        yield shop.policy(f"{server}-client", {"name": server}, ingress=[rule], policyTypes=["Ingress"])


def _vip(number: int) -> str:
    return f"10.96.1.{number + 1}"
