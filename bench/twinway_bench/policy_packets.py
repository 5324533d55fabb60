"""What policy costs packets: two pairs of pods that share a processor, of which one is under policy."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from twinway_bench import http, programs, shop
from twinway_bench.errors import BenchError
from twinway_bench.http import MODES, PORT, Run
from twinway_bench.idle_hooks import idle_hooks
from twinway_bench.pairs import of_ratios, rounds
from twinway_bench.places import ON_ONE_PROCESSOR, Lab, Pair, lab
from twinway_bench.programs import Cost
from twinway_bench.results import Bar, Effort, Figure, Section, of_ratio
from twinway_bench.throughput import costs, plain, prepare, spent

WATCHED = "sockops, watched"
IDLE_AFTER = {"sockops": 0, WATCHED: 86400}
"""Seconds after which sockets' packets pass unseen, where they are looked at."""
KINDS = ("sockops", WATCHED, "tc")
NONE, IDLE = "no policy", "no policy, programs that do nothing"
POLICIES = {NONE: 0, IDLE: 0, "1 policy": 1, "120 policies": 120}
COUNTED = (NONE, "1 policy", "120 policies")
BAR = 0.99
SETTLES = 20.0
"""Seconds after a change of policy in which sockets' packets must have come to pass unseen."""
METHOD = (
    "Two pairs of pods on veth, each through a Service; nginx and wrk as for throughput, all on one processor at "
    "the same time, so that whatever else the machine does meets both. One pair's server is under so many "
    "policies, each of another block and other ports, and one of them lets the client in; then the other pair's "
    "is. A ratio is the geometric mean of both, of requests a second with policy to those without, and without "
    "any policy it is the noise. *By its programs' time*: what the kernel counts of BPF with policy and without, "
    "less what counting takes, against the time of a request. sockops is asked while idle; while it watches "
    "(`idle_after` of a day), programs look at packets of either pair, so that this has no ratio but the latter. "
    "Programs that do nothing stand where the guard does: what looks at each packet there cannot cost less."
)


class Done(NamedTuple):
    """What both runs of one comparison gave."""

    ratio: float
    """Requests a second with policy, to those without."""
    request: float
    """Nanoseconds of the processor that a request took."""


def measure(effort: Effort) -> Section:
    """Every kind of node, keep-alive and a connection a request."""
    raw: dict[str, Any] = {}
    counting = programs.cost_of_counting()
    figures = [Figure("a program that does nothing, a run, by the same count", counting, "ns")]
    for kind in KINDS:
        with cluster(kind) as node:
            for mode in MODES:
                what, bar = f"{kind}, {mode}", None if kind == WATCHED else Bar(BAR, at_least=True)
                cases = {name: partial(node.compared, name, mode, effort.seconds) for name in _cases(kind)}
                done = rounds(cases, effort.pairs)
                counted = {name: node.spent(name, mode, effort) for name in COUNTED}
                raw[what] = {"rounds": done, "programs": {name: each.plain() for name, each in counted.items()}}
                figures += _ratios(what, done, bar)
                figures += _by_programs(what, done, counted, counting, bar)
    return Section("packets", "Policy and packets", METHOD, tuple(figures), raw)


def _cases(kind: str) -> Sequence[str]:
    return {"sockops": tuple(POLICIES), WATCHED: (NONE,)}.get(kind, COUNTED)


def _ratios(what: str, done: Sequence[Mapping[str, Done]], bar: Bar | None) -> Iterator[Figure]:
    for name in (name for name in POLICIES if name in done[0]):
        found = of_ratio(f"{what}: {name}", of_ratios([each[name].ratio for each in done]))
        yield replace(found, bar=bar if POLICIES[name] else None)


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
    what: str, done: Sequence[Mapping[str, Done]], counted: Mapping[str, Spent], counting: float, bar: Bar | None
) -> Iterator[Figure]:
    request = statistics.median(each[NONE].request for each in done)
    for name, found in counted.items():
        yield from costs(f"{what}, {name}", found.programs, found.requests)
        if name != NONE:
            more = found.each(counting) - counted[NONE].each(counting)
            yield Figure(f"{what}: {name}, by its programs' time", request / (request + more), "", bar)


@dataclass(frozen=True, slots=True)
class Node:
    """A node with two pairs of pods, and what it is to be under."""

    lab: Lab
    pairs: Sequence[Pair]
    is_watched: bool
    """Whether sockets' packets are looked at for as long as there is a policy."""
    files: Mapping[tuple[str, int], str]
    """Manifests of everything: for each case, and for each pair that it is about."""

    @contextmanager
    def under(self, name: str, which: int) -> Iterator[None]:
        """The node has come to what a case says of a pair, during the block."""
        self.lab.run("sync", "-f", self.files[name, which])
        looks = bool(POLICIES[name]) and self.is_watched
        links = self.lab.pins / "links" / "policy"
        _wait(lambda: (links.exists() and any(links.iterdir())) == looks)
        with idle_hooks(self.lab, _server(which)) if name == IDLE else nullcontext():
            yield

    def compared(self, name: str, mode: str, seconds: int) -> Done:
        """Both pairs at the same time, first the one under this, then the other."""
        ratios, rates = [], []
        for which in range(len(self.pairs)):
            with self.under(name, which), ThreadPoolExecutor() as both:
                runs = list(both.map(lambda pair: _run(pair, mode, seconds), self.pairs))
            ratios.append(runs[which].rate / runs[1 - which].rate)
            rates.append(sum(run.rate for run in runs))
        return Done(math.prod(ratios) ** (1 / len(ratios)), 1e9 / statistics.mean(rates))

    def spent(self, name: str, mode: str, effort: Effort) -> Spent:
        """What the node's programs do during a run of the first pair alone."""
        with self.under(name, 0):
            return Spent(*spent(self.lab, self.pairs[0], mode, effort))


def _run(pair: Pair, mode: str, seconds: int) -> Run:
    return http.run(pair, mode, seconds, ON_ONE_PROCESSOR)


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLES
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchError(f"policy has not settled in {SETTLES:g} s: see the log of the lab's agent")
        time.sleep(0.05)


@contextmanager
def cluster(kind: str) -> Iterator[Node]:
    """One node of this kind, without policy."""
    driver, *_ = kind.split(",")
    sections = {driver: {"idle_after": IDLE_AFTER[kind]}} if kind in IDLE_AFTER else {}
    with lab(driver, *_objects(0, 0), config={"drivers": sections}) as made:
        ends = [made.places(_client(which), _server(which)) for which in range(2)]
        with http.serving(*(server for _, server in ends), first=ON_ONE_PROCESSOR) as workers:
            pairs = [
                Pair(client, server, _vip(which), 80, workers[server])
                for which, (client, server) in enumerate(ends)
            ]
            for pair in pairs:
                prepare(pair)
            files = {
                (name, which): made.file(*_objects(which, count))
                for name, count in POLICIES.items()
                for which in range(2)
            }
            yield Node(made, pairs, kind == WATCHED, files)


def _objects(which: int, count: int) -> Iterator[shop.Object]:
    yield shop.NODE
    for each in range(2):
        client, server = (name.removeprefix("bench/") for name in (_client(each), _server(each)))
        yield from (shop.pod(client), shop.pod(server))
        yield shop.service(server, {"name": server}, _vip(each), 80, PORT)
        if each == which:
            yield from policies(server, client, count)


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


def _client(which: int) -> str:
    return f"bench/client-{which}"


def _server(which: int) -> str:
    return f"bench/web-{which}"


def _vip(which: int) -> str:
    return f"10.96.1.{which + 1}"
