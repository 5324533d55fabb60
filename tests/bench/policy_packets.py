"""What policy costs packets: the same pods under 0, 1 and 120 policies, asked in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from tests.bench import http, programs, shop
from tests.bench.http import MODES, PORT, Run
from tests.bench.pairs import ratio, rounds
from tests.bench.places import BenchFailed, Lab, Pair, lab
from tests.bench.programs import Cost
from tests.bench.results import Bar, Effort, Figure, Section, of_ratio
from tests.bench.throughput import costs, efforts, plain, prepare, rates, spent

WATCHED = "sockops, watched"
REST_AFTER = {"sockops": 0, WATCHED: 86400}
"""Seconds after which sockets' packets pass unseen, where they are looked at."""
KINDS = ("sockops", WATCHED, "tc")
NONE, AGAIN = "no policy", "no policy, again"
COUNTED = (NONE, "1 policy", "120 policies")
POLICIES = {NONE: 0, AGAIN: 0, "1 policy": 1, "120 policies": 120}
BAR = 0.99
VIP, CLIENT, SERVER = "10.96.1.1", "client", "web"
SETTLES = 20.0
"""Seconds after a change of policy in which sockets' packets must have come to pass unseen."""
METHOD = (
    "One pair of pods on veth, through a Service; nginx and wrk as for throughput, in rounds. Between the runs "
    "the node's policies change: none, none again, one that lets the client in, and 120 of the server's, each of "
    "another block and other ports, one of which lets the client in. Ratios to the runs without policy; the "
    "second such run is the noise. *By its programs' time*: what the kernel counts of BPF with policy and "
    "without, less what counting takes, against the processor time of a request. sockops is asked at rest, and in "
    "a lab more while its sockets are watched (`rest_after` of a day)."
)


def measure(effort: Effort) -> Section:
    """Every kind of node, keep-alive and a connection a request."""
    raw: dict[str, Any] = {}
    counting = programs.cost_of_counting()
    figures = [Figure("a program that does nothing, a run, by the same count", counting, "ns")]
    for kind in KINDS:
        with cluster(kind) as node:
            for mode in MODES:
                what, bar = f"{kind}, {mode}", None if node.is_watched else Bar(BAR, at_least=True)
                done = rounds({name: partial(node.asked, name, mode, effort) for name in POLICIES}, effort.pairs)
                spent = {name: node.spent(name, mode, effort) for name in COUNTED}
                raw[what] = {"rounds": done, "programs": {name: each.plain() for name, each in spent.items()}}
                figures += _ratios(what, done, bar)
                figures += _by_programs(what, done, spent, counting, bar)
    return Section("packets", "Policy and packets", METHOD, tuple(figures), raw)


def _ratios(what: str, done: Sequence[Mapping[str, Run]], bar: Bar | None) -> Iterator[Figure]:
    for name, count in POLICIES.items():
        if name != NONE:
            found = of_ratio(f"{what}: {name}", ratio(rates(done), name, NONE))
            yield replace(found, bar=bar if count else None)
            yield of_ratio(f"{what}: {name}, by processor time", ratio(efforts(done), name, NONE))


class Spent(NamedTuple):
    """What a node's programs did during so many requests."""

    programs: Mapping[str, Cost]
    requests: float

    def each(self, counting: float) -> float:
        """Nanoseconds a request, of all programs, less what counting takes of a run."""
        return sum(cost.nanoseconds - counting * cost.runs for cost in self.programs.values()) / self.requests

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {"requests": self.requests, **plain(self.programs)}


def _by_programs(
    what: str, done: Sequence[Mapping[str, Run]], spent: Mapping[str, Spent], counting: float, bar: Bar | None
) -> Iterator[Figure]:
    request = statistics.median(1e9 / run[NONE].processor for run in done)
    for name, found in spent.items():
        yield from costs(f"{what}, {name}", found.programs, found.requests)
        if name != NONE:
            more = found.each(counting) - spent[NONE].each(counting)
            yield Figure(f"{what}: {name}, by its programs' time", request / (request + more), "", bar)


@dataclass(frozen=True, slots=True)
class Node:
    """A node with the pair of pods, whose policies change."""

    lab: Lab
    pair: Pair
    files: Mapping[str, str]
    """Manifests of everything, by what the node is to be under."""
    is_watched: bool
    """Whether sockets' packets are looked at for as long as there is a policy."""

    def turn(self, name: str) -> None:
        """The node is under these policies, and has come to rest if it ever does."""
        self.lab.run("sync", "-f", self.files[name])
        looks = bool(POLICIES[name]) and self.is_watched
        links = self.lab.pins / "links" / "policy"
        _wait(lambda: (links.exists() and any(links.iterdir())) == looks)

    def asked(self, name: str, mode: str, effort: Effort) -> Run:
        """What one run of the load gives under these policies."""
        self.turn(name)
        return http.run(self.pair, mode, effort.seconds)

    def spent(self, name: str, mode: str, effort: Effort) -> Spent:
        """What the node's programs do during one more such run."""
        self.turn(name)
        return Spent(*spent(self.lab, self.pair, mode, effort))


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLES
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchFailed(f"policy has not settled in {SETTLES:g} s: see the log of the lab's agent")
        time.sleep(0.05)


@contextmanager
def cluster(kind: str) -> Iterator[Node]:
    """One node of this kind, without policy."""
    driver, *_ = kind.split(",")
    sections = {driver: {"rest_after": REST_AFTER[kind]}} if kind in REST_AFTER else {}
    with lab(driver, *_objects(0), config={"drivers": sections}) as made:
        client, server = made.places(f"bench/{CLIENT}", f"bench/{SERVER}")
        with http.serving(server) as workers:
            pair = Pair(client, server, VIP, 80, workers[server])
            prepare(pair)
            files = {name: made.file(*_objects(count)) for name, count in POLICIES.items()}
            yield Node(made, pair, files, kind == WATCHED)


def _objects(count: int) -> Iterator[shop.Object]:
    yield from (shop.NODE, shop.pod(CLIENT), shop.pod(SERVER))
    yield shop.service(SERVER, {"name": SERVER}, VIP, 80, PORT)
    yield from policies(SERVER, CLIENT, count)


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
