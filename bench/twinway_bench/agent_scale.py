"""The real agent on files: its start, its memory, and the way from a changed file to the kernel's table."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twinway.client import AgentClient
from twinway.errors import SourceError
from twinway.files import write_whole
from twinway_bench.apart import Node, apart
from twinway_bench.compute_scale import ENDPOINTS, documents
from twinway_bench.errors import BenchError
from twinway_bench.pairs import percentile
from twinway_bench.results import Bar, Effort, Figure, Section
from twinway_bpf.load import libbpf
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Fe

DRIVERS = ("tc", "sockops")
SIZES = (10, 5_000)
METHOD = (
    f"The agent as a process, in namespaces of its own, on a folder of one JSON file a Service ({ENDPOINTS} "
    "endpoints). A change is a file that is replaced; it ends when another process sees the table's entry change."
)
_PROGRAM = "from twinway.cli.main import main; main()"
_PATIENCE = 120.0


def measure(effort: Effort) -> Section:
    """Both drivers at a small size and a large one."""
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for driver in DRIVERS:
        for size in SIZES:
            found = apart("agent_scale", "run", effort.out, driver=driver, services=size, changes=effort.changes)
            raw[f"{driver}, {size}"] = found
            figures += _figures(f"{driver}, {size:,} Services", found, size)
    return Section("agent", "The agent", METHOD, tuple(figures), raw)


def _figures(what: str, found: Mapping[str, Any], size: int) -> Iterator[Figure]:
    yield Figure(f"{what}: from start to in force", found["start"], "s")
    small = Bar(120) if size == min(SIZES) else None
    yield Figure(f"{what}: resident memory", found["resident"] / 2**20, "MB", small)
    changes = [each * 1000 for each in found["changes"]]
    yield Figure(f"{what}: a changed file → the table, median", percentile(changes, 0.5), "ms")
    yield Figure(f"{what}: a changed file → the table, 99 %", percentile(changes, 0.99), "ms")


def run(node: Node, *, driver: str, services: int, changes: int) -> dict[str, Any]:
    """Measure, apart."""
    manifests = node.folder / "manifests"
    manifests.mkdir()
    for name, both in _files(services):
        write_whole(manifests / name, json.dumps(both))
    began = time.perf_counter()
    with agent(node, driver, manifests, services) as process:
        starting = time.perf_counter() - began
        resident = _resident(process.pid)
        taken = list(_changes(node, manifests, services, changes))
        return {
            "start": starting,
            "resident": resident,
            "resident_after": _resident(process.pid),
            "changes": taken,
        }


def _files(services: int) -> Iterator[tuple[str, dict[str, Any]]]:
    every = documents(services)
    for number, (service, endpoints) in enumerate(zip(every, every, strict=True)):
        yield f"{number}.json", {"apiVersion": "v1", "kind": "List", "items": [service, endpoints]}


@contextmanager
def agent(node: Node, driver: str, manifests: Path, services: int) -> Iterator[subprocess.Popen[bytes]]:
    """An agent whose first state is in force, until the block ends."""
    room = {"be": services * ENDPOINTS * 2, "slot": services * ENDPOINTS * 2, "fe": services * 4}
    config = {
        "node_name": "n1",
        "driver": driver,
        "source": {"kind": "manifests", "paths": [str(manifests)]},
        "cgroup_root": str(node.context.cgroup_root),
        "bpffs": str(node.context.bpffs.parent),
        "run_dir": str(node.folder / "run"),
        "cache_dir": str(node.context.cache),
        "drivers": {driver: {"maps": room}},
    }
    path = node.folder / "node.json"
    path.write_text(json.dumps(config))
    with tempfile.TemporaryFile() as log:
        words = [sys.executable, "-P", "-c", _PROGRAM, "agent", "--config", str(path)]
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            _await(process, node.folder / "run" / "agent.sock")
            yield process
        finally:
            process.terminate()
            process.wait()


def _await(process: subprocess.Popen[bytes], path: Path) -> None:
    client, deadline = AgentClient(path), time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.status()["version"]:
                return
        except SourceError:
            pass  # it does not listen yet
        time.sleep(0.005)
    raise BenchError("the agent has no state in force")


def _changes(node: Node, manifests: Path, services: int, count: int) -> Iterator[float]:
    table = _Frontends(node.context.bpffs.parent / "twinway" / "maps")
    every = list(_files(services))
    for number in range(count):
        name, both = every[number * 7919 % len(every)]
        service, endpoints = both["items"]
        taken = endpoints["endpoints"]
        endpoints["endpoints"] = taken[:-1] if len(taken) == ENDPOINTS else [*taken, {"addresses": ["10.255.0.1"]}]
        before = table.backend_set(service["spec"]["clusterIP"])
        began = time.perf_counter()
        write_whole(manifests / name, json.dumps(both))
        while table.backend_set(service["spec"]["clusterIP"]) == before:
            if time.perf_counter() - began > _PATIENCE:
                raise BenchError(f"a change of {name} does not arrive")
        yield time.perf_counter() - began


class _Frontends:
    # The kernel's table of frontends, as any process may look at it.

    def __init__(self, maps: Path) -> None:
        (path,) = maps.glob("tw_fe_v*")
        self._table = libbpf.obj_get(str(path))
        self._size = libbpf.map_info(self._table).value_size

    def backend_set(self, address: str) -> int:
        """The set that port 80 of an address leads to."""
        key = encode.address(ip_address(address)) + (80).to_bytes(2, "big") + bytes((6, 0))
        return int(Fe.from_buffer_copy(libbpf.map_lookup(self._table, key, self._size)).set)


def _resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
