"""What policy costs packets: pods under 0, 1 and 120 policies, asked side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from tests.bench import http, shop
from tests.bench.http import MODES, PORT
from tests.bench.idle_hooks import idle_hooks
from tests.bench.pairs import ratio
from tests.bench.places import Lab, Pair, Place, lab
from tests.bench.results import Effort, Figure, Section, of_ratio
from tests.bench.throughput import compared, costs, efforts, plain, prepare, rates, spent

DRIVERS = ("sockops", "tc")
NONE, AGAIN, IDLE = "no policy", "no policy, another pair", "no policy, programs that do nothing"
POLICIES = {NONE: 0, AGAIN: 0, IDLE: 0, "1 policy": 1, "120 policies": 120}
LABS = {NONE: "free", AGAIN: "free", IDLE: "idle"}
"""The lab that a pair is in, where it is not `held`."""
METHOD = (
    "Pairs of pods on veth, through a Service each; nginx and wrk as for throughput, in rounds. Two of them are "
    "on a node without any policy; on another node the server of a pair is under so many NetworkPolicies, each of "
    "another block and other ports, and one of them lets the client in. Ratios to the first pair; the second one "
    "is the noise. For sockops a pair more has programs that do nothing at the hooks that policy has: what "
    "judges each packet at its socket cannot cost less."
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
                for name in pairs:
                    if name != NONE:
                        bar = 0.99 if POLICIES[name] else None
                        what = f"{driver}, {mode}: {name}"
                        figures.append(of_ratio(what, ratio(rates(done), name, NONE), bar))
                        figures.append(of_ratio(f"{what}, by processor time", ratio(efforts(done), name, NONE)))
                for name, at in pairs.items():
                    if name not in (AGAIN, IDLE):
                        cost, requests = spent(at.lab, at.pair, mode, effort)
                        found[name] = {"programs": plain(cost), "requests": requests}
                        figures += costs(f"{driver}, {mode}, {name}", cost, requests)
    return Section("packets", "Policy and packets", METHOD, tuple(figures), raw)


@contextmanager
def clusters(driver: str) -> Iterator[dict[str, At]]:
    """A lab for each kind of node; each pair by what it is called."""
    names = [name for name in POLICIES if name != IDLE or driver == "sockops"]
    numbers = {name: number for number, name in enumerate(POLICIES)}
    homes: dict[str, list[str]] = {}
    for name in names:
        homes.setdefault(LABS.get(name, "held"), []).append(name)
    with ExitStack() as stack:
        ends: dict[str, tuple[Lab, Place, Place]] = {}
        for home, inside in homes.items():
            made = stack.enter_context(lab(driver, *_objects(numbers[name] for name in inside), name=home))
            for name in inside:
                client, server = made.places(f"bench/client-{numbers[name]}", f"bench/web-{numbers[name]}")
                ends[name] = made, client, server
            if home == LABS[IDLE]:
                stack.enter_context(idle_hooks(made, f"bench/web-{numbers[IDLE]}"))
        workers = stack.enter_context(http.serving(*(server for _, _, server in ends.values())))
        pairs = {}
        for name, (made, client, server) in ends.items():
            pairs[name] = At(made, Pair(client, server, _vip(numbers[name]), 80, workers[server]))
            prepare(pairs[name].pair)
        yield {name: pairs[name] for name in names}


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
