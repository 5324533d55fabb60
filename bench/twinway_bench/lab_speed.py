"""What the lab's own commands take: up, a matrix that connects and one that is dropped whole, sync, down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from twinway_bench import shop
from twinway_bench.errors import BenchError
from twinway_bench.pairs import percentile
from twinway_bench.places import Lab, lab
from twinway_bench.results import Bar, Effort, Figure, Section

DRIVERS = ("tc", "sockops")
PODS, PORTS = 9, (80, 443, 8080, 9090)
CELLS = PODS * (PODS - 1) * len(PORTS)
METHOD = (
    f"{PODS} pods of {len(PORTS)} ports each on two nodes, on veth; each command from its start to its end, the "
    "interpreter's start included. A sync goes from one set of Services and policies to another, and back, while "
    f"the pods stay. A matrix has {CELLS} cells; where policy drops them all, each waits for its 2 s in vain."
)


def measure(effort: Effort) -> Section:
    """Both drivers."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        taken = commands(driver, effort.repeats)
        raw[driver] = taken
        for what, seconds in taken.items():
            bar = BARS.get(what)
            figures.append(Figure(f"{driver}: {what}, median", percentile(seconds, 0.5), "s"))
            figures.append(Figure(f"{driver}: {what}, longest", max(seconds), "s", bar))
    return Section("lab", "The lab", METHOD, tuple(figures), raw)


UP, OPEN, SHUT, SYNC, DOWN = "up", "matrix, all connect", "matrix, all dropped", "sync", "up and down"
BARS = {OPEN: Bar(10), SHUT: Bar(10), SYNC: Bar(2)}


def commands(driver: str, repeats: int) -> dict[str, list[float]]:
    """The seconds that each command took, each time."""
    taken: dict[str, list[float]] = {UP: [], OPEN: [], SHUT: [], SYNC: [], DOWN: []}
    for _ in range(repeats):
        begun = time.monotonic()
        with lab(driver, *pods(), *case(0)) as made:
            taken[UP].append(time.monotonic() - begun)
            for number in (1, 2, 1):
                file = made.file(*pods(), *case(number))
                taken[SYNC].append(_seconds(made.run, "sync", "-f", file))
            taken[SHUT].append(_seconds(_matrix, made, "dropped"))
            made.run("sync", "-f", made.file(*pods(), *case(0)))
            taken[OPEN].append(_seconds(_matrix, made, "connected"))
            ended = time.monotonic()
        taken[DOWN].append(time.monotonic() - ended + taken[UP][-1])
    return taken


def pods() -> list[shop.Object]:
    """Two nodes and the pods on them."""
    nodes = [shop.node(name, number) for number, name in enumerate(("n1", "n2"), start=1)]
    both = [shop.pod(f"pod-{n}", {"half": str(n % 2)}, ports=PORTS, node=f"n{n % 2 + 1}") for n in range(PODS)]
    return [*nodes, *both]


def case(number: int) -> list[shop.Object]:
    """Services and policies: 0 lets everybody in, 1 nobody, 2 every other pod."""
    services = [
        shop.service(f"s{number}-{n}", {"half": str(n)}, f"10.96.{number}.{n + 1}", 80, 80) for n in range(2)
    ]
    rule = [{"from": [{"podSelector": {"matchLabels": {"half": "0"}}}]}]
    closed = shop.policy("closed", {}, ingress=[], policyTypes=["Ingress"])
    half = shop.policy("half", {}, ingress=rule, policyTypes=["Ingress"])
    return [*services, *([], [closed], [half])[number]]


def _matrix(made: Lab, outcome: str) -> None:
    cells = json.loads(made.run("matrix", "--json"))
    wrong = [cell for cell in cells if cell["outcome"] != outcome]
    if wrong or len(cells) != CELLS:
        raise BenchError(f"{len(wrong)} of {len(cells)} cells are not {outcome}, for instance {wrong[:1]}")


def _seconds(what: Callable[..., object], *given: Any) -> float:
    begun = time.monotonic()
    what(*given)
    return time.monotonic() - begun
