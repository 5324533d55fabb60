"""
Prometheus metrics, made of the status and the kernel's tables at the moment of the scrape.

The agent counts in plain values (`status.Tally`); the Prometheus library is imported by the first
scrape, so that a start does not pay for it.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from twinway.build import version
from twinway.driver import Inspection
from twinway.policy_views import Names, denials_view
from twinway.status import APPLY_BUCKETS, Status, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


MOST_DENIALS = 1000
"""Series of denials by pod; with more, pods are summed up."""


def exposition(status: Status, kernel: Inspection, names: Names = lambda _: None) -> bytes:
    """The metrics in Prometheus' text format; `names` gives the rule that an id stands for."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Moment(status, kernel, names))
    return generate_latest(registry)


class _Moment(Collector):
    def __init__(self, status: Status, kernel: Inspection, names: Names) -> None:
        self._denied = denials_view(status.state, kernel.denials, names)["denials"]
        self._status = status
        self._kernel = kernel

    def collect(self) -> Iterator[Metric]:
        yield from _loop(self._status)
        yield from _applies(self._status.tally)
        yield from _kernel(self._kernel)
        yield from _denials(self._denied)


def _loop(status: Status) -> Iterator[Metric]:
    info = GaugeMetricFamily("twinway_driver_info", "The driver in charge.", labels=["node", "driver"])
    info.add_metric([status.node, status.driver], 1)
    yield info
    build = GaugeMetricFamily("twinway_build_info", "What runs.", labels=["version", "python", "kernel"])
    build.add_metric([version(), platform.python_version(), platform.release()], 1)
    yield build
    state = status.state
    yield _gauge("complete", "Whether the state in force holds every object of the cluster.", status.complete)
    yield _gauge("healthy", "Whether traffic went through the hooks just now.", status.health.ok)
    yield _gauge("failing", "Whether the newest state could not be put in force.", status.error is not None)
    yield _gauge("source_failing", "Whether the source is out of sync.", status.source_error is not None)
    yield _gauge("config_failing", "Whether the config's file is not in force.", status.config_error is not None)
    yield _gauge(
        "last_success_timestamp_seconds", "Unix time of the last apply that succeeded.", status.last_success
    )
    yield _gauge("endpoints", "Pods of this node that are served.", len(state.endpoints) if state else 0)
    yield _gauge("services", "Services that are served.", len(state.services) if state else 0)
    yield _gauge("rejected", "Objects, or parts, that cannot be used.", len(state.rejected) if state else 0)
    yield _gauge("retiring_drivers", "Earlier drivers that still serve connections.", len(status.retiring))


def _applies(tally: Tally) -> Iterator[Metric]:
    yield _counter("applies", "Applies that succeeded.", tally.applies)
    errors = CounterMetricFamily("twinway_apply_errors", "Applies that failed, by kind of error.", labels=["kind"])
    for kind, count in sorted(tally.errors.items()):
        errors.add_metric([kind], count)
    yield errors
    yield _counter("kernel_writes", "Kernel entries written.", tally.written)
    yield _counter("kernel_removals", "Kernel entries removed.", tally.removed)
    yield _counter("repairs", "Things found changed behind the driver, and put right.", tally.repaired)
    seconds = HistogramMetricFamily("twinway_apply_seconds", "Duration of applies that succeeded.")
    seconds.add_metric([], _cumulative(tally.buckets), tally.seconds)
    yield seconds


def _kernel(kernel: Inspection) -> Iterator[Metric]:
    entries = GaugeMetricFamily("twinway_map_entries", "Entries in a kernel table.", labels=["map"])
    capacity = GaugeMetricFamily("twinway_map_capacity", "Entries a kernel table can hold.", labels=["map"])
    memory = GaugeMetricFamily("twinway_map_memory_bytes", "Kernel memory of a table.", labels=["map"])
    for usage in kernel.maps:
        entries.add_metric([usage.name], usage.entries)
        capacity.add_metric([usage.name], usage.capacity)
        memory.add_metric([usage.name], usage.memory)
    yield from (entries, capacity, memory)
    verdicts = CounterMetricFamily(
        "twinway_verdicts", "Packets and socket calls, by reason of the verdict.", labels=["reason"]
    )
    for reason, count in sorted(kernel.counters.items()):
        verdicts.add_metric([reason], count)
    yield verdicts


def _denials(denials: Iterable[dict[str, Any]]) -> Iterator[Metric]:
    found = CounterMetricFamily(
        "twinway_denials",
        "Packets that policy denied, by pod; where that makes too many series, of all pods together.",
        labels=["policy", "rule", "direction", "pod"],
    )
    rows = list(denials)
    sums: Counter[tuple[str, str, str, str]] = Counter()
    for row in rows:
        pod = "" if len(rows) > MOST_DENIALS else row["pod"] or ""
        sums[", ".join(row["policies"]), row["rule"] or "", row["direction"], pod] += row["count"]
    for labels, count in sorted(sums.items()):
        found.add_metric(labels, count)
    yield found


def _cumulative(buckets: tuple[int, ...]) -> list[tuple[str, float]]:
    bounds = [str(bound) for bound in APPLY_BUCKETS] + ["+Inf"]
    return [(bound, sum(buckets[: index + 1])) for index, bound in enumerate(bounds)]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"twinway_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"twinway_{name}", text, value=value)
