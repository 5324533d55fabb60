"""A web server and a load on it: nginx answers three bytes, wrk asks as fast as it can."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.places import FIRST, BenchFailed, Pair, Place

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
_PATIENCE = 60.0


@contextmanager
def serving(*places: Place) -> Iterator[None]:
    """nginx listens on `PORT` at each place, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="bench-") as top:
        servers = [_start(place, Path(top) / str(number)) for number, place in enumerate(places)]
        try:
            for number, server in enumerate(servers):
                _await(server, Path(top) / str(number))
            yield
        finally:
            for server in servers:
                server.terminate()
                server.wait()


def _start(place: Place, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, port=PORT))
    command = place.command(*FIRST, "nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"))
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _await(server: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (folder / "pid").exists():
        if server.poll() is not None or time.monotonic() > deadline:
            said = folder / "error.log"
            raise BenchFailed(
                f"nginx does not start: {said.read_text().strip() if said.exists() else 'is it installed?'}"
            )
        time.sleep(0.02)


def rate(pair: Pair, mode: str, seconds: float) -> float:
    """Requests a second, as the client counts answers."""
    header = ("-H", "Connection: close") if mode == SHORT else ()
    url = f"http://{pair.host}:{pair.port}/"
    asked = (*FIRST, "wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds:g}s", *header, url)
    said = pair.client.run(*asked)
    found = _RATE.search(said)
    if not found or float(found[1]) == 0:
        raise BenchFailed(f"wrk got no answer from {url}")
    if "Socket errors" in said or "Non-2xx" in said:
        raise BenchFailed(f"wrk met errors at {url}: {' '.join(said.split())}")
    return float(found[1])
