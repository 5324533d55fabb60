"""
What decode and compute cost as a cluster grows: time and memory by number of Services.

    python -m twinway_bench.compute_scale [--json] [SERVICES ...]

Each size runs in a process of its own. `decode` and `desired` are for the whole cluster from
nothing; `change` is one EndpointSlice replaced, through the memo, as median and 99th percentile;
`memory` is what the process grew by. Times are processor time, which a busy machine spoils least.
A plot is made from the `--json` output.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from twinway.compute.desired import Memo, desired
from twinway.model.cluster import Cluster
from twinway.model.net import NodeName
from twinway.sources.decode.registry import cluster, decode_object

SIZES = (10, 100, 1_000, 5_000, 50_000)
ENDPOINTS = 20
"""Endpoints of each Service."""
CHANGES = 200
NODE = NodeName("n1")


@dataclass(frozen=True, slots=True)
class Row:
    """What one size cost; times in seconds, memory in bytes."""

    services: int
    endpoints: int
    decode: float
    desired: float
    change_p50: float
    change_p99: float
    memory: int


def documents(services: int) -> Iterator[dict[str, Any]]:
    """Each Service and its one EndpointSlice, as an API server says them."""
    for number in range(services):
        address = f"10.{96 + number // 65536}.{number // 256 % 256}.{number % 256}"
        name = f"service-{number}"
        port = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": "bench", "labels": {"app": name}},
            "spec": {"clusterIP": address, "clusterIPs": [address], "selector": {"app": name}, "ports": [port]},
        }
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": "bench", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": [_endpoint(number * ENDPOINTS + index) for index in range(ENDPOINTS)],
        }


def _endpoint(number: int) -> dict[str, Any]:
    return {
        "addresses": [f"10.{number // 65536 % 64}.{number // 256 % 256}.{number % 256}"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": f"n{number % 500}",
        "targetRef": {"kind": "Pod", "namespace": "bench", "name": f"pod-{number}"},
    }


def measure(services: int) -> Row:
    """One size, in this process."""
    before = resident()
    snapshot, decoding = decoded(services)
    memo = Memo()
    began = time.thread_time()
    state = memo.desired(snapshot, NODE, {})
    computing = time.thread_time() - began
    memory = resident() - before
    changes = sorted(changed(memo, snapshot))
    assert len(state.services) == services
    assert services > 1_000 or state == desired(snapshot, NODE, {})
    return Row(
        services=services,
        endpoints=services * ENDPOINTS,
        decode=decoding,
        desired=computing,
        change_p50=changes[len(changes) // 2],
        change_p99=changes[len(changes) * 99 // 100],
        memory=memory,
    )


def decoded(services: int) -> tuple[Cluster, float]:
    """The snapshot, and the seconds that decoding alone took."""
    values, seconds = [], 0.0
    for document in documents(services):
        began = time.thread_time()
        value, rejected = decode_object(document)
        seconds += time.thread_time() - began
        assert value is not None, rejected
        values.append(value)
    began = time.thread_time()
    snapshot = cluster("0", values)
    return snapshot, seconds + time.thread_time() - began


def changed(memo: Memo, snapshot: Cluster) -> Iterator[float]:
    """Seconds for each of some changes: one endpoint leaves a slice, or comes back to it."""
    names = list(snapshot.slices)
    for number in range(CHANGES):
        name = names[number * 7919 % len(names)]
        old = snapshot.slices[name]
        endpoints = old.endpoints[:-1] if len(old.endpoints) == ENDPOINTS else (*old.endpoints, old.endpoints[0])
        slices = dict(snapshot.slices) | {name: replace(old, endpoints=endpoints)}
        snapshot = replace(snapshot, version=str(number), slices=slices)
        began = time.thread_time()
        memo.desired(snapshot, NODE, {})
        yield time.thread_time() - began


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def apart(services: int) -> Row:
    """One size, in a process of its own."""
    command = [sys.executable, __file__, "--one", str(services)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Row(**json.loads(answer))


def table(rows: list[Row]) -> Iterator[str]:
    """The rows for people, a line each."""
    yield " services  endpoints  decode s  desired s  change ms (p50, p99)  memory MB  bytes/endpoint"
    for row in rows:
        yield (
            f"{row.services:9,}{row.endpoints:11,}{row.decode:10.3f}{row.desired:11.3f}"
            f"{row.change_p50 * 1000:13.2f}{row.change_p99 * 1000:9.2f}"
            f"{row.memory / 2**20:11.1f}{row.memory / row.endpoints:16.0f}"
        )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("services", type=int, nargs="*", default=SIZES, metavar="SERVICES")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, in seconds and bytes")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(asdict(measure(asked.services[0]))))
        return
    rows = [apart(size) for size in asked.services]
    if asked.json:
        print("\n".join(json.dumps(asdict(row)) for row in rows))
    else:
        print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
