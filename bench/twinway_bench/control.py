"""Services at scale through the real drivers: the first state, one changed endpoint, and nothing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import starmap
from typing import Any

from twinway.compute.desired import Memo
from twinway.driver import Change, Driver
from twinway.model.cluster import Cluster
from twinway.model.node import NodeState
from twinway.sources.decode.registry import Value, changed, cluster, decode_object
from twinway_bench.apart import Node, apart
from twinway_bench.compute_scale import ENDPOINTS, NODE, documents, resident
from twinway_bench.pairs import percentile
from twinway_bench.results import NONE, Bar, Effort, Figure, Section
from twinway_bench.took import Took, timed

SERVICES = 5_000
DRIVERS = ("tc", "sockops")
STEPS = ("decode", "compute", "apply")
FIRST = "the first state"
METHOD = (
    f"{SERVICES:,} Services of {ENDPOINTS} endpoints, through an agent's driver object, in namespaces of its own. "
    "A change is one EndpointSlice that gains or loses one endpoint: from its document to the write of the table."
)


@dataclass(frozen=True, slots=True)
class Scale:
    """What one size cost one driver."""

    services: int
    endpoints: int
    first: tuple[Took, Took, Took]
    """Decode, compute and apply of the first state."""
    changes: tuple[tuple[Took, Took, Took], ...]
    """The same of each change."""
    repair: Took
    """Comparing with what the kernel holds."""
    writes: Mapping[str, int]
    """By what was applied."""
    memory: int
    """Bytes that the process grew by for the first state."""

    @property
    def each_change(self) -> list[Took]:
        """What each change took from its document to the table."""
        return [decode.plus(compute).plus(apply) for decode, compute, apply in self.changes]


def measure(effort: Effort) -> Section:
    """Both drivers at `SERVICES`."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        scale = scale_of(driver, SERVICES, effort)
        raw[driver] = asdict(scale)
        figures += _figures(driver, scale)
    return Section("control", "Control plane", METHOD, tuple(figures), raw)


def scale_of(driver: str, services: int, effort: Effort) -> Scale:
    """One size through one driver, in a process of its own."""
    answer = apart("control", "run", effort.out, driver=driver, services=services, changes=effort.changes)
    answer["first"] = tuple(starmap(Took, answer["first"]))
    answer["changes"] = [tuple(starmap(Took, steps)) for steps in answer["changes"]]
    answer["repair"] = Took(*answer["repair"])
    return Scale(**answer)


def _figures(driver: str, scale: Scale) -> Iterator[Figure]:
    for step, took in zip(STEPS, scale.first, strict=True):
        yield Figure(f"{driver}: first state, {step}", took.wall, "s")
    yield Figure(f"{driver}: first state into the kernel", sum(took.wall for took in scale.first), "s", Bar(5))
    yield Figure(f"{driver}: its processor time", sum(took.processor for took in scale.first), "s")
    walls = [took.wall * 1000 for took in scale.each_change]
    yield Figure(f"{driver}: one changed endpoint, median", percentile(walls, 0.5), "ms")
    yield Figure(f"{driver}: one changed endpoint, 99 %", percentile(walls, 0.99), "ms", Bar(5))
    used = [took.processor * 1000 for took in scale.each_change]
    yield Figure(f"{driver}: its processor time, 99 %", percentile(used, 0.99), "ms")
    for number, step in enumerate(STEPS):
        each = [steps[number].processor * 1000 for steps in scale.changes]
        yield Figure(f"{driver}: of which {step}, median", percentile(each, 0.5), "ms")
    yield Figure(f"{driver}: comparing with the kernel", scale.repair.wall, "s")
    for what, writes in scale.writes.items():
        bar = None if what == FIRST else NONE
        yield Figure(f"{driver}: writes of {what}", writes, "", bar)
    yield Figure(f"{driver}: memory that the process grew by", scale.memory / 2**20, "MB")


def run(node: Node, *, driver: str, services: int, changes: int) -> dict[str, Any]:
    """Measure, apart."""
    room = max(services * ENDPOINTS * 2, 1)
    with node.driver(driver, be=room, slot=room, fe=max(services * 4, 1)) as started:
        return asdict(_run(started, services, changes))


def _run(driver: Driver, services: int, changes: int) -> Scale:
    before = resident()
    decoding, snapshot = first_snapshot(services)
    memo = Memo()
    computing, state = timed(memo.desired, snapshot, NODE, {})
    applying, report = timed(driver.apply, Change(state, None))
    memory = resident() - before
    again = driver.apply(Change(state, state))
    equal = Memo().desired(snapshot, NODE, {})
    rewritten = driver.apply(Change(equal, state))
    repairing, repaired = timed(driver.apply, Change(equal, equal, repair=True))
    driver.apply(Change(state, equal))
    done = {FIRST: report, "a second apply": again, "an equal state": rewritten, "a repair": repaired}
    return Scale(
        services=services,
        endpoints=services * ENDPOINTS,
        first=(decoding, computing, applying),
        changes=tuple(_changes(driver, memo, snapshot, state, changes)),
        repair=repairing,
        writes={what: report.written + report.removed for what, report in done.items()},
        memory=memory,
    )


def first_snapshot(services: int) -> tuple[Took, Cluster]:
    """All documents decoded, and what that took without their making."""
    total, values = Took(0, 0), []
    for document in documents(services):
        took, value = timed(_decoded, document)
        total = total.plus(took)
        values.append(value)
    took, snapshot = timed(cluster, "0", values)
    return total.plus(took), snapshot


def _decoded(document: dict[str, Any]) -> Value:
    value, rejected = decode_object(document)
    assert value is not None, rejected
    return value


def _changes(
    driver: Driver, memo: Memo, snapshot: Cluster, state: NodeState, count: int
) -> Iterator[tuple[Took, Took, Took]]:
    slices = [each for each in documents(len(snapshot.services)) if each["kind"] == "EndpointSlice"]
    for number in range(count):
        document = slices[number * 7919 % len(slices)]
        taken = document["endpoints"]
        document["endpoints"] = taken[:-1] if len(taken) == ENDPOINTS else [*taken, {"addresses": ["10.255.0.1"]}]
        decoding, (newer, old) = timed(_replaced, snapshot, document, number)
        computing, wanted = timed(memo.desired, newer, NODE, {})
        applying, report = timed(driver.apply, Change(wanted, state))
        assert report.written, f"nothing was written for a change of {old}"
        snapshot, state = newer, wanted
        yield decoding, computing, applying
    shown = {(each.address, each.port): set(each.backends) for each in driver.dump().frontends}
    for service in state.services.values():
        for each in service.frontends:
            due = {(backend.address, backend.port) for backend in each.backends.backends}
            assert shown[each.address, each.port] == due, f"the kernel has another state of {service.ref}"


def _replaced(snapshot: Cluster, document: dict[str, Any], number: int) -> tuple[Cluster, Value]:
    value = _decoded(document)
    old = snapshot.slices[value.ref]
    newer = changed(snapshot, (old,), (value,), ())
    return replace(newer, version=str(number)), old
