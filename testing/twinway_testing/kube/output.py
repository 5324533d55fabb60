"""What the cluster's command says to its user, and how it waits."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

from twinway.errors import TwinwayError


def say(line: str) -> None:
    """Write a line on stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def wait_for(
    what: str, done: Callable[[], bool], seconds: float, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Return when `done` is true; raise when the time is over, or when `process` ends before."""
    deadline = time.monotonic() + seconds
    while not done():
        if process is not None and process.poll() is not None:
            raise TwinwayError(f"cluster: {what}: its process ended with {process.returncode}: read its log")
        if time.monotonic() > deadline:
            raise TwinwayError(f"cluster: {what}: not there after {seconds:.0f} s")
        time.sleep(0.2)
