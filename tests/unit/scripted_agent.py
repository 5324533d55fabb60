"""
The real agent on a source that a test scripts, as a program.

    python -m tests.unit.scripted_agent CONFIG PIPE

Each line that is written to the pipe is one JSON object: `{"version": V, "complete": B, "services":
[NAME, ...]}` is a snapshot, `{"error": REASON}` says that the source is out of sync, or with null that it
is in sync again.
"""

from __future__ import annotations

import json
import sys
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

from twinway import agent, log
from twinway.model.cluster import Cluster, Service, ServicePort
from twinway.model.net import ObjectRef, Protocol
from twinway.plugins import read_config
from twinway.sources.base import Latest


class ScriptedSource:
    """A `Source` that does what the lines of a pipe say."""

    def __init__(self, pipe: Path) -> None:
        self._pipe = pipe
        self.error: str | None = None

    def start(self, slot: Latest[Cluster]) -> None:
        Thread(target=self._follow, args=(slot,), daemon=True).start()

    def stop(self) -> None:
        """The thread ends with the process."""

    def _follow(self, slot: Latest[Cluster]) -> None:
        with self._pipe.open() as lines:
            for line in lines:
                step = json.loads(line)
                if "error" in step:
                    self.error = step["error"]
                    slot.ring()
                else:
                    slot.put(_cluster(**step))


def _cluster(version: str, *, complete: bool, services: list[str]) -> Cluster:
    refs = [ObjectRef("Service", "shop", name) for name in services]
    return Cluster(version, complete, services={ref: _service(ref, number) for number, ref in enumerate(refs)})


def _service(ref: ObjectRef, number: int) -> Service:
    address = ip_address(f"10.96.0.{number + 1}")
    port: Any = ServicePort("", Protocol.TCP, 80, 8080)
    return Service(ref, "ClusterIP", (address,), (port,), selector=(), publish_not_ready=False)


if __name__ == "__main__":
    config = Path(sys.argv[1])
    node = read_config(config)
    log.set_up(node.log)
    agent.run(node, str(config), ScriptedSource(Path(sys.argv[2])))
