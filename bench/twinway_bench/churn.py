"""Policy that changes 50 times a second under 500 new connections a second: the past judges none of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from twinway.files import write_whole
from twinway_bench import attempts, http, shop
from twinway_bench.errors import BenchError
from twinway_bench.http import PORT
from twinway_bench.places import FIRST, Lab, Place, lab
from twinway_bench.results import NONE, Bar, Effort, Figure, Section
from twinway_lab.names import LabName
from twinway_lab.nodes import agents, manifests

ENDS = 10
"""Clients, and as many servers."""
CONNECTIONS_A_SECOND = 500
REACHED = 0.98
"""Of the load that is asked for; with less of it, a run has shown less."""
PATIENCE = 0.9
"""Less than the second after which TCP sends a SYN again: an attempt meets one state of the policy, or two."""
PATIENCE_AT_FIRST = 60.0
WINDOW = 1.0
"""A change must be in force so many seconds after the file that says so."""
SHOWN = 20
SECONDS_FOR_EACH = 30
"""How much longer than a run of wrk this one is: 60 s by default."""
METHOD = (
    f"{ENDS} clients and {ENDS} servers on one node, a Service and a policy for each server. "
    f"50 times a second a policy lets one client more or one less in; {CONNECTIONS_A_SECOND} connections a second "
    "are opened by chance. Once more for sockops, 4 times a second, and with a node that becomes idle after each "
    "change (`idle_after` of 0). An attempt is wrong whose outcome no policy gives that was in the "
    f"files during it or within {WINDOW:g} s before it."
)


class Kind(NamedTuple):
    """A driver, how often policy changes under it, and the driver's options in the node's config."""

    driver: str
    changes: int
    """A second."""
    options: Mapping[str, Any] = MappingProxyType({})


KINDS = {
    "tc": Kind("tc", 50),
    "sockops": Kind("sockops", 50),
    "sockops, idle in between": Kind("sockops", 4, {"idle_after": 0}),
}


class Attempt(NamedTuple):
    """One connection: from whom, to whom, when, and whether it stood."""

    client: int
    server: int
    begun: float
    ended: float
    stood: bool


class Moment(NamedTuple):
    """From some instant between `before` and `after` on, the pair is let through or not."""

    before: float
    after: float
    allowed: bool


@dataclass
class History:
    """What was published of each client and server."""

    moments: dict[tuple[int, int], list[Moment]] = field(default_factory=dict)

    def put(self, client: int, server: int, moment: Moment) -> None:
        """The pair's policy is another."""
        self.moments.setdefault((client, server), []).append(moment)

    def possible(self, attempt: Attempt, window: float) -> set[bool]:
        """What policies say that may have judged the attempt, where each is in force within `window`."""
        moments = self.moments[attempt.client, attempt.server]
        ends = [moment.after + window for moment in moments[1:]] + [float("inf")]
        return {
            moment.allowed
            for moment, end in zip(moments, ends, strict=True)
            if moment.before <= attempt.ended and attempt.begun <= end
        }


def measure(effort: Effort) -> Section:
    """Every kind."""
    figures: list[Figure] = []
    raw = {}
    for name, kind in KINDS.items():
        history, attempts = run(kind, effort.seconds * SECONDS_FOR_EACH)
        figures += _figures(name, kind, history, attempts)
        raw[name] = {"attempts": len(attempts), "wrong": list(wrong(history, attempts, WINDOW))[:SHOWN]}
    return Section("churn", "Policy that keeps changing", METHOD, tuple(figures), raw)


def _figures(name: str, kind: Kind, history: History, attempts: Sequence[Attempt]) -> Iterator[Figure]:
    first, last = span(attempts)
    begun = [each.begun for each in attempts]
    changed = [moment.before for moments in history.moments.values() for moment in moments]
    for what, times, asked in (
        ("connections", begun, CONNECTIONS_A_SECOND),
        ("changes", changed, kind.changes),
    ):
        rate = sum(first <= each <= last for each in times) / (last - first)
        yield Figure(f"{name}: {what} a second", rate, "", Bar(REACHED * asked, at_least=True))
    certain = sum(len(history.possible(each, WINDOW)) == 1 for each in attempts)
    yield Figure(f"{name}: attempts that can only have one outcome", certain)
    found = [attempt for attempt, _ in wrong(history, attempts, WINDOW)]
    yield Figure(f"{name}: of which wrongly allowed", sum(each.stood for each in found), "", NONE)
    yield Figure(f"{name}: of which wrongly denied", sum(not each.stood for each in found), "", NONE)
    yield Figure(f"{name}: window that would have been enough", sufficient(history, attempts), "s", Bar(WINDOW))


def span(attempts: Sequence[Attempt]) -> tuple[float, float]:
    """The time during which all clients made attempts."""
    begun: dict[int, list[float]] = {}
    for each in attempts:
        begun.setdefault(each.client, []).append(each.begun)
    return max(map(min, begun.values())), min(map(max, begun.values()))


def wrong(history: History, attempts: Sequence[Attempt], window: float) -> Iterator[tuple[Attempt, list[Moment]]]:
    """Attempts that ended as no policy says, each with what was published of its client and server."""
    for each in attempts:
        if each.stood not in history.possible(each, window):
            yield each, history.moments[each.client, each.server]


def sufficient(history: History, attempts: Sequence[Attempt]) -> float:
    """The least window, in hundredths of a second, within which nothing is wrong; infinite above 10 s."""
    for hundredths in range(1001):
        window = hundredths / 100
        attempts = [attempt for attempt, _ in wrong(history, attempts, window)]
        if not attempts:
            return window
    return float("inf")


def run(kind: Kind, seconds: float) -> tuple[History, list[Attempt]]:
    """What was published, and what came of every attempt."""
    history = History()
    with cluster(kind) as (made, clients, servers), http.serving(*servers):
        rules = {(client, server): bool((client + server) % 2) for client in range(ENDS) for server in range(ENDS)}
        _publish(made, rules)
        agents.wait_in_force(LabName(made.name), ["n1"], manifests.version(LabName(made.name)), PATIENCE_AT_FIRST)
        now = time.monotonic()
        for pair, allowed in rules.items():
            history.put(*pair, Moment(now, now, allowed))
        with attempting(clients) as found:
            _change(made, rules, history, kind.changes, seconds)
    return history, found


def _change(made: Lab, rules: dict[tuple[int, int], bool], history: History, changes: int, seconds: float) -> None:
    chance, pairs = random.Random(1), list(rules)
    begun = due = time.monotonic()
    while due < begun + seconds:
        pair = chance.choice(pairs)
        rules[pair] = not rules[pair]
        before = time.monotonic()
        _publish(made, rules)
        history.put(*pair, Moment(before, time.monotonic(), rules[pair]))
        due += 1 / changes
        time.sleep(max(0.0, due - time.monotonic()))


def _publish(made: Lab, rules: Mapping[tuple[int, int], bool]) -> None:
    policies = []
    for server in range(ENDS):
        names = [f"client-{client}" for client in range(ENDS) if rules[client, server]]
        selector = {"matchExpressions": [{"key": "name", "operator": "In", "values": names}]}
        rule = {"from": [{"podSelector": selector}], "ports": [{"protocol": "TCP", "port": PORT}]}
        ingress = [rule] if names else []
        policies.append(
            shop.policy(_web(server), {"name": _web(server)}, ingress=ingress, policyTypes=["Ingress"])
        )
    # beside the file that the lab itself publishes: its agents follow the whole folder
    path = LabName(made.name).manifests() / "churn.json"
    write_whole(path, json.dumps({"apiVersion": "v1", "kind": "List", "items": policies}))


@contextmanager
def cluster(kind: Kind) -> Iterator[tuple[Lab, list[Place], list[Place]]]:
    """The lab, its clients and its servers."""
    objects = [shop.NODE, *(shop.pod(f"client-{n}") for n in range(ENDS))]
    for number in range(ENDS):
        web = _web(number)
        objects += [shop.pod(web), shop.service(web, {"name": web}, _vip(number), 80, PORT)]
    with lab(kind.driver, *objects, config={"drivers": {kind.driver: dict(kind.options)}}) as made:
        clients, servers = (made.places(*(f"bench/{kind}-{n}" for n in range(ENDS))) for kind in ("client", "web"))
        yield made, clients, servers


@contextmanager
def attempting(clients: Sequence[Place]) -> Iterator[list[Attempt]]:
    """Let all clients make attempts during the block; the list holds the results when it has ended."""
    targets = [f"{_vip(number)}:80" for number in range(ENDS)]
    words = [
        *FIRST,
        sys.executable,
        "-I",
        "-S",
        attempts.__file__,
        str(CONNECTIONS_A_SECOND / ENDS),
        str(PATIENCE),
        *targets,
    ]
    processes = [
        subprocess.Popen(client.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for client in clients
    ]
    found: list[Attempt] = []
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise BenchError("a client does not start")
        yield found
        for client, process in enumerate(processes):
            said, _ = process.communicate()
            for begun, ended, server, stood in json.loads(said):
                found.append(Attempt(client, server, begun, ended, stood))
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _web(number: int) -> str:
    return f"web-{number}"


def _vip(number: int) -> str:
    return f"10.96.2.{number + 1}"
