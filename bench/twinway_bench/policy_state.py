"""Policy at scale through the real drivers: the first state, one pod's labels, and how large the tables are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from twinway.collector import settle_heap
from twinway.compute.desired import Memo
from twinway.driver import Change, Driver, Inspection
from twinway.model.cluster import Cluster
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment, NodeState
from twinway_bench.apart import Node, apart
from twinway_bench.compute_scale import resident
from twinway_bench.pairs import percentile
from twinway_bench.places import output
from twinway_bench.policy_scale import HERE, attachments_of, changes, make_cluster
from twinway_bench.policy_sizes import classes_due, verdicts_due
from twinway_bench.results import NONE, Bar, Effort, Figure, Section
from twinway_bench.took import Took, timed
from twinway_testing import site

PODS, NAMESPACES = 10_000, 200
DRIVERS = ("tc", "sockops")
METHOD = (
    f"{5 * NAMESPACES:,} policies and {PODS:,} pods, of which 121 are on this node with a veth each, through an "
    "agent's driver object. A change is one pod that takes another application's labels: from the decoded Pod to "
    "the kernel, compute and apply; after each the process settles its heap and the driver catches up, as in an "
    "agent to which nothing new comes for a moment. Table sizes are those that the kernel holds, against the "
    "formulas of `compute/classes/classes.py` and `compute/policy/directions.py`."
)


class Step(NamedTuple):
    """What one change took, how many entries were written for it, and what catching up took thereafter."""

    compute: Took
    apply: Took
    written: int
    ahead: Took


@dataclass(frozen=True, slots=True)
class Held:
    """How large the tables are in the kernel, by the formulas, and how much memory they take."""

    classes: int
    classes_due: int
    verdicts: int
    verdicts_due: int
    verdicts_unswept: int
    """Right after the last change, when what it replaced may still stand."""
    class_memory: int
    verdict_memory: int
    memory: int
    """Bytes that the process grew by for the first state, the cluster itself included."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one driver took."""

    first: tuple[Took, Took]
    """Compute and apply."""
    here: tuple[Step, ...]
    """Of each change of a pod of this node."""
    elsewhere: tuple[Step, ...]
    again: int
    """Writes of a second apply."""
    held: Held


def measure(effort: Effort) -> Section:
    """Both drivers."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        answer = apart("policy_state", "run", effort.out, driver=driver, count=effort.changes)
        raw[driver] = answer
        figures += _figures(driver, _found(answer))
    return Section("policy", "Policy at scale", METHOD, tuple(figures), raw)


def _found(answer: Mapping[str, Any]) -> Found:
    def steps(where: str) -> tuple[Step, ...]:
        return tuple(
            Step(Took(*compute), Took(*apply), written, Took(*ahead))
            for compute, apply, written, ahead in answer[where]
        )

    computing, applying = answer["first"]
    return Found(
        first=(Took(*computing), Took(*applying)),
        here=steps("here"),
        elsewhere=steps("elsewhere"),
        again=answer["again"],
        held=Held(**answer["held"]),
    )


def _figures(driver: str, found: Found) -> Iterator[Figure]:
    computing, applying = found.first
    yield Figure(f"{driver}: first state, compute", computing.wall, "s")
    yield Figure(f"{driver}: first state, apply", applying.wall, "s")
    yield Figure(f"{driver}: first state", computing.wall + applying.wall, "s", Bar(5))
    for where, taken in (("of this node", found.here), ("elsewhere", found.elsewhere)):
        what = f"{driver}: label change of a pod {where}"
        sums = [step.compute.plus(step.apply) for step in taken]
        yield Figure(f"{what}, median", percentile([each.wall for each in sums], 0.5) * 1000, "ms")
        yield Figure(f"{what}, 99 %", percentile([each.wall for each in sums], 0.99) * 1000, "ms", Bar(20))
        yield Figure(
            f"{what}, its processor time, 99 %", percentile([each.processor for each in sums], 0.99) * 1000, "ms"
        )
        for part in ("compute", "apply"):
            used = [getattr(step, part).processor * 1000 for step in taken]
            yield Figure(f"{what}, of which {part}, median", percentile(used, 0.5), "ms")
        ahead = [step.ahead.processor * 1000 for step in taken]
        yield Figure(
            f"{what}, catching up in the calm after it, processor time, 99 %", percentile(ahead, 0.99), "ms"
        )
        yield Figure(f"{what}, entries written, median", percentile([step.written for step in taken], 0.5))
    held = found.held
    yield Figure(f"{driver}: writes of a second apply", found.again, "", NONE)
    yield Figure(f"{driver}: class table, entries", held.classes)
    yield Figure(f"{driver}: class table, memory", held.class_memory / 2**20, "MB")
    yield Figure(
        f"{driver}: class table, entries beside the formula", abs(held.classes - held.classes_due), "", NONE
    )
    yield Figure(f"{driver}: verdict trie, entries", held.verdicts)
    yield Figure(f"{driver}: verdict trie, entries right after the changes", held.verdicts_unswept)
    yield Figure(f"{driver}: verdict trie, memory", held.verdict_memory / 2**20, "MB")
    yield Figure(
        f"{driver}: verdict trie, entries beside the formula", abs(held.verdicts - held.verdicts_due), "", NONE
    )
    yield Figure(f"{driver}: memory of the process, the cluster included", held.memory / 2**20, "MB")


def run(node: Node, *, driver: str, count: int) -> dict[str, Any]:
    """Measure, apart."""
    before = resident()
    cluster = make_cluster(PODS, NAMESPACES)
    with devices(attachments_of(cluster)) as attachments, node.driver(driver) as started:
        memo = Memo()
        computing, state = timed(memo.desired, cluster, HERE, attachments)
        applying, _ = timed(started.apply, Change(state, None))
        memory = resident() - before
        settle_heap(whole=True)  # as the agent does after what it applied
        again = started.apply(Change(state, state))
        history = History(started, memo, attachments, state)
        taken = {
            where: tuple(history.follow(changes(cluster, count, local=where == "here")))
            for where in ("here", "elsewhere")
        }
        most = {each.name: each.entries for each in started.dump().maps}["verdict"]
        last = history.settle(cluster)
        held = _held(started.dump(), last, cluster, memory=memory, most=most)
    return asdict(
        Found((computing, applying), taken["here"], taken["elsewhere"], again.written + again.removed, held)
    )


class History:
    """One state after the other, applied."""

    def __init__(
        self, driver: Driver, memo: Memo, attachments: Mapping[ObjectRef, Attachment], state: NodeState
    ) -> None:
        self._driver = driver
        self._memo = memo
        self._attachments = attachments
        self._state = state

    def follow(self, clusters: Iterator[Cluster]) -> Iterator[Step]:
        """What each of them took."""
        for cluster in clusters:
            computing, wanted = timed(self._memo.desired, cluster, HERE, self._attachments)
            applying, report = timed(self._driver.apply, Change(wanted, self._state))
            self._state = wanted
            settle_heap(whole=False)
            ahead, _ = timed(self._driver.catch_up)
            yield Step(computing, applying, report.written, ahead)

    def settle(self, cluster: Cluster) -> NodeState:
        """The state of this cluster, applied, and what was left of others swept away."""
        for _ in self.follow(iter((cluster,))):
            pass
        while self._driver.apply(Change(self._state, self._state)).removed:
            pass
        return self._state


@contextmanager
def devices(attachments: Mapping[ObjectRef, Attachment]) -> Iterator[dict[ObjectRef, Attachment]]:
    """The same pods, each at a real veth; all of them are in one namespace."""
    with site.namespace("pods") as inside, tempfile.NamedTemporaryFile("w") as batch:
        names = {ref: f"p{number}" for number, ref in enumerate(attachments)}
        for name in names.values():
            batch.write(
                f"link add name h{name} type veth peer name {name} netns {inside.name}\nlink set h{name} up\n"
            )
        batch.flush()
        output(["ip", "-batch", batch.name])
        yield {ref: replace(each, netns=str(inside), ifname=names[ref]) for ref, each in attachments.items()}


def _held(kernel: Inspection, state: NodeState, cluster: Cluster, *, memory: int, most: int) -> Held:
    maps = {each.name: each for each in kernel.maps}
    return Held(
        classes=maps["class"].entries,
        classes_due=classes_due(cluster),
        verdicts=maps["verdict"].entries,
        verdicts_due=verdicts_due(state.policy),
        verdicts_unswept=most,
        class_memory=maps["class"].memory,
        verdict_memory=maps["verdict"].memory,
        memory=memory,
    )
