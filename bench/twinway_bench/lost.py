"""Requests lost while an agent is killed, restarted, and while nodes change driver, under load: none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from twinway_bench import http, load, shop
from twinway_bench.errors import BenchError
from twinway_bench.http import PORT
from twinway_bench.places import Lab, Pair, lab
from twinway_bench.results import NONE, Effort, Figure, Section

DRIVERS = ("tc", "sockops")
VIP = "10.96.0.80"
KEPT, OPENED = 8, 4
METHOD = (
    f"A pod asks a Service of two nginx pods, one on its own node and one on another, over {KEPT} kept "
    f"connections and {OPENED} that are opened for each request, without pause; every request is accounted for. A "
    f"request without a whole answer within {load.PATIENCE:g} s is lost. Meanwhile both nodes' agents are dealt "
    "with, a few times over."
)
NODES = ("n1", "n2")
Deed = Callable[[Lab, str], None]


@dataclass
class Outcome:
    """What the load reports at its end, by kind of request; empty until then."""

    kinds: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Requests without an answer."""
        return sum(kind["lost"] for kind in self.kinds.values())


def measure(effort: Effort) -> Section:
    """Every deed under either driver."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        with cluster(driver) as (made, pair):
            for what, deed in DEEDS.items():
                with loading(pair) as outcome:
                    for _ in range(effort.repeats):
                        deed(made, driver)
                raw[f"{driver}, {what}"] = outcome.kinds
                figures += _figures(f"{driver}, {what}", outcome.kinds)
    return Section("lost", "Requests lost", METHOD, tuple(figures), raw)


def _figures(what: str, kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[Figure]:
    for name, kind in kinds.items():
        yield Figure(f"{what}: lost of {kind['asked']:,} on {name} connections", kind["lost"], "", NONE)
    yield Figure(f"{what}: longest wait", max(kind["longest"] for kind in kinds.values()) * 1000, "ms")


@contextmanager
def cluster(driver: str) -> Iterator[tuple[Lab, Pair]]:
    """A lab of two nodes: a client on the one, a web server on each."""
    nodes = [shop.node(name, number) for number, name in enumerate(NODES, start=1)]
    pods = [shop.pod("client"), shop.pod("near", {"app": "web"}), shop.pod("far", {"app": "web"}, node="n2")]
    web = shop.service("web", {"app": "web"}, VIP, 80, PORT)
    with lab(driver, *nodes, *pods, web) as made:
        client, near, far = (made.place(f"bench/{name}") for name in ("client", "near", "far"))
        client.prepare()
        with http.serving(near, far) as workers:
            yield made, Pair(client, near, VIP, 80, workers[near])


@contextmanager
def loading(pair: Pair) -> Iterator[Outcome]:
    """Put load on the pair from its client during the block; the outcome is filled when it has ended."""
    outcome = Outcome()
    words = [sys.executable, load.__file__, pair.host, str(pair.port), str(KEPT), str(OPENED)]
    process = subprocess.Popen(
        pair.client.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise BenchError(f"the load on {pair.host} does not start")
        yield outcome
        said, _ = process.communicate()
        outcome.kinds.update(json.loads(said))
    finally:
        process.kill()
        process.wait()


def kill_and_start(made: Lab, driver: str) -> None:
    """SIGKILL, a moment without an agent, and back."""
    del driver
    for node in NODES:
        made.run("agent", "kill", f"node/{node}")
    for node in NODES:
        made.run("agent", "start", f"node/{node}")


def restart(made: Lab, driver: str) -> None:
    """SIGTERM and back."""
    del driver
    for node in NODES:
        made.run("agent", "restart", f"node/{node}")


def restart_changed(made: Lab, driver: str) -> None:
    """Back after the cluster has changed meanwhile: another Service has come, or gone."""
    del driver
    other = made.file(shop.service("other", {"app": "web"}, "10.96.0.81", 80, PORT))
    for change in ("apply", "delete"):
        for node in NODES:
            made.run("agent", "kill", f"node/{node}")
        made.run(change, "-f", other)
        for node in NODES:
            made.run("agent", "start", f"node/{node}")


def change_driver(made: Lab, driver: str) -> None:
    """To the other driver and back."""
    (other,) = (each for each in DRIVERS if each != driver)
    for name in (other, driver):
        made.run("driver", name)


DEEDS: Mapping[str, Deed] = {
    "agents killed and started": kill_and_start,
    "agents restarted": restart,
    "agents killed, started with another state": restart_changed,
    "driver changed there and back": change_driver,
}
