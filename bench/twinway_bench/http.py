"""A web server and a load on it: nginx answers three bytes, wrk asks as fast as it can."""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from twinway_bench.errors import BenchError
from twinway_bench.places import FIRST, Pair, Place

PORT = 8080
CONNECTIONS = 16
KEPT, SHORT = "keep-alive", "a connection per request"
MODES = (KEPT, SHORT)

_CONFIG = """\
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder};
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} backlog=4096;
        location / {{ return 200 "ok\\n"; }}
    }}
}}
"""
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_REQUESTS = re.compile(r"(\d+) requests in ")
_PATIENCE = 60.0


class Run(NamedTuple):
    """What one run of the load gave."""

    rate: float
    """Requests a second, as the client counts answers."""
    processor: float
    """Requests a second of processor time that client and server used together."""


@contextmanager
def serving(*places: Place, first: Sequence[str] = FIRST) -> Iterator[dict[Place, int]]:
    """
    Nginx listens on `PORT` at each place, until the block ends; the process that answers there.

    `first`: words before its command.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as top:
        folders = [Path(top) / str(number) for number in range(len(places))]
        servers = [_start(place, folder, first) for place, folder in zip(places, folders, strict=True)]
        try:
            yield dict(zip(places, map(_worker, servers, folders), strict=True))
        finally:
            for server in servers:
                server.terminate()
                server.wait()


def _start(place: Place, folder: Path, first: Sequence[str]) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, port=PORT))
    command = place.command(*first, "nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"))
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _worker(server: subprocess.Popen[bytes], folder: Path) -> int:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    deadline = time.monotonic() + _PATIENCE
    while not ((folder / "pid").exists() and (listed := children.read_text().split())):
        if server.poll() is not None or time.monotonic() > deadline:
            said = folder / "error.log"
            reason = said.read_text().strip() if said.exists() else "is it installed?"
            raise BenchError(f"nginx does not start: {reason}")
        time.sleep(0.02)
    return int(listed[0])


def run(pair: Pair, mode: str, seconds: int, first: Sequence[str] = FIRST) -> Run:
    """Load from the pair's client on its server; `first`: words before its command."""
    header = ("-H", "Connection: close") if mode == SHORT else ()
    url = f"http://{pair.host}:{pair.port}/"
    asked = (*first, "wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", *header, url)
    before = _used(pair.worker), _used_by_children()
    said = pair.client.run(*asked)
    used = _used(pair.worker) - before[0] + _used_by_children() - before[1]
    rate, requests = _RATE.search(said), _REQUESTS.search(said)
    if not rate or not requests or not int(requests[1]):
        raise BenchError(f"wrk got no answer from {url}")
    if "Socket errors" in said or "Non-2xx" in said:
        raise BenchError(f"wrk met errors at {url}: {' '.join(said.split())}")
    return Run(float(rate[1]), int(requests[1]) / used)


# Seconds of processor time. Source: Documentation/scheduler/sched-stats.rst.
def _used(process: int) -> float:
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def _used_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
