"""Requests a second through a Service, against the same pods asked directly and against plain veth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

from twinway_bench import http, programs, shop
from twinway_bench.http import MODES, PORT, Run
from twinway_bench.pairs import Round, of_ratios, ratio, rounds
from twinway_bench.places import Lab, Pair, lab, routed_pair
from twinway_bench.programs import Cost
from twinway_bench.results import Effort, Figure, Section, of_ratio

DRIVERS = ("sockops", "tc")
VIP = "10.96.0.80"
SERVICE, DIRECT, ROUTED = "Service", "pod's address", "routed veth"
BARS = {("sockops", DIRECT): 0.97, ("tc", ROUTED): 1.00}
METHOD = (
    f"nginx and wrk ({http.CONNECTIONS} connections) on one node, pods on veth. Rounds of three runs: through a "
    "Service, to the pod's address, and between two namespaces wired alike with a router between them, without "
    "BPF and without netfilter rules. Ratios of requests a second; and by processor time, of requests "
    "a second that client and server ran, which others on the machine disturb less. Nanoseconds are the kernel's."
)


def measure(effort: Effort) -> Section:
    """Both drivers, keep-alive and a connection a request."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    with routed_pair() as (client, server), http.serving(server) as workers:
        routed = Pair(client, server, server.address, PORT, workers[server])
        prepare(routed)
        for driver in DRIVERS:
            with cluster(driver) as (made, pairs):
                for mode in MODES:
                    done = compared(pairs | {ROUTED: routed}, mode, effort)
                    cost, requests = spent(made, pairs[SERVICE], mode, effort)
                    raw[f"{driver}, {mode}"] = {"rounds": done, "programs": plain(cost), "requests": requests}
                    figures += _ratios(driver, mode, done)
                    figures += costs(f"{driver}, {mode}", cost, requests)
    for mode in MODES:
        figures += _noise(mode, [raw[f"{driver}, {mode}"]["rounds"] for driver in DRIVERS])
    return Section("throughput", "Throughput", METHOD, tuple(figures), raw)


@contextmanager
def cluster(driver: str) -> Iterator[tuple[Lab, dict[str, Pair]]]:
    """A lab with a client, a web server and its Service; the two ways to ask."""
    web = shop.service("web", {"name": "web"}, VIP, 80, PORT)
    with lab(driver, shop.NODE, shop.pod("client"), shop.pod("web"), web) as made:
        client, server = made.place("bench/client"), made.place("bench/web")
        with http.serving(server) as workers:
            ways = {SERVICE: (VIP, 80), DIRECT: (server.address, PORT)}
            pairs = {name: Pair(client, server, *way, workers[server]) for name, way in ways.items()}
            prepare(pairs[SERVICE])
            yield made, pairs


def prepare(pair: Pair) -> None:
    """Both ends are ready for a connection a request."""
    pair.client.prepare()
    pair.server.prepare()


def compared(pairs: Mapping[str, Pair], mode: str, effort: Effort) -> list[Mapping[str, Run]]:
    """Rounds of runs, one for each way to ask."""
    runs = {name: partial(http.run, pair, mode, effort.seconds) for name, pair in pairs.items()}
    return rounds(runs, effort.pairs)


def rates(done: Sequence[Mapping[str, Run]]) -> list[Round]:
    """Of each run, requests a second."""
    return [{name: run.rate for name, run in each.items()} for each in done]


def efforts(done: Sequence[Mapping[str, Run]]) -> list[Round]:
    """Of each run, requests a second of processor time."""
    return [{name: run.processor for name, run in each.items()} for each in done]


def spent(made: Lab, pair: Pair, mode: str, effort: Effort) -> tuple[dict[str, Cost], float]:
    """What the node's programs did during one more run, and the requests of it."""
    with programs.counting():
        before = programs.costs(made.pins)
        requests = http.run(pair, mode, effort.seconds).rate * effort.seconds
        return programs.spent(before, programs.costs(made.pins)), requests


def costs(what: str, cost: Mapping[str, Cost], requests: float) -> Iterator[Figure]:
    """Nanoseconds of all programs a request, and of each program a run."""
    yield Figure(f"{what}: all BPF, a request", sum(each.nanoseconds for each in cost.values()) / requests, "ns")
    for name, each in cost.items():
        if each.runs > requests / 10:
            yield Figure(f"{what}: `{name}`, {each.runs / requests:.1f} runs a request, each", each.each, "ns")


def plain(cost: Mapping[str, Cost]) -> dict[str, dict[str, int]]:
    """For JSON."""
    return {name: {"runs": each.runs, "nanoseconds": each.nanoseconds} for name, each in cost.items()}


def _ratios(driver: str, mode: str, done: Sequence[Mapping[str, Run]]) -> Iterator[Figure]:
    for under in (DIRECT, ROUTED):
        what = f"{driver}, {mode}: {SERVICE} of {under}"
        yield of_ratio(what, ratio(rates(done), SERVICE, under), BARS.get((driver, under)))
        yield of_ratio(f"{what}, by processor time", ratio(efforts(done), SERVICE, under))


# What differs between two runs of the same thing: neighbouring rounds of plain veth.
def _noise(mode: str, runs: Sequence[Sequence[Mapping[str, Run]]]) -> Iterator[Figure]:
    what = f"noise, {mode}: {ROUTED} of itself, a round later"
    for values, word in ((rates, ""), (efforts, ", by processor time")):
        ratios = [after[ROUTED] / before[ROUTED] for done in runs for before, after in pairwise(values(done))]
        yield of_ratio(what + word, of_ratios(ratios))
