"""What policy costs packets: pods under 0, 1 and 120 policies, asked side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    "Four pairs of pods on one node, on veth, through a Service each; nginx and wrk as for throughput, in rounds. "
    "The server of a pair is under so many NetworkPolicies, each of another block and other ports; one of them "
    "lets the client in. Ratios to the pair without policy; the second such pair is the noise."
)


def measure(effort: Effort) -> Section:
    """Both drivers, keep-alive and a connection a request."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        with cluster(driver) as (made, pairs):
            for mode in MODES:
                done = compared(pairs, mode, effort)
                raw[f"{driver}, {mode}"] = {"rounds": done}
                for name, count in POLICIES.items():
                    if name != NONE:
                        bar = 0.99 if count else None
                        what = f"{driver}, {mode}: {name}"
                        figures.append(of_ratio(what, ratio(rates(done), name, NONE), bar))
                        figures.append(of_ratio(f"{what}, by processor time", ratio(efforts(done), name, NONE)))
                for name, pair in pairs.items():
                    if name != AGAIN:
                        cost, requests = spent(made, pair, mode, effort)
                        raw[f"{driver}, {mode}"][name] = {"programs": plain(cost), "requests": requests}
                        figures.append(next(costs(f"{driver}, {mode}, {name}", cost, requests)))
    return Section("packets", "Policy and packets", METHOD, tuple(figures), raw)


@contextmanager
def cluster(driver: str) -> Iterator[tuple[Lab, dict[str, Pair]]]:
    """The lab, and each pair by what it is called."""
    objects = [shop.NODE]
    for number, count in enumerate(POLICIES.values()):
        client, web = f"client-{number}", f"web-{number}"
        objects += [shop.pod(client), shop.pod(web), shop.service(web, {"name": web}, _vip(number), 80, PORT)]
        objects += policies(web, client, count)
    with lab(driver, *objects) as made:
        ends = [(made.place(f"bench/client-{n}"), made.place(f"bench/web-{n}")) for n in range(len(POLICIES))]
        with http.serving(*(server for _, server in ends)) as workers:
            pairs = {name: Pair(*ends[n], _vip(n), 80, workers[ends[n][1]]) for n, name in enumerate(POLICIES)}
            for pair in pairs.values():
                prepare(pair)
            yield made, pairs


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
