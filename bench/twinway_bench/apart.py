"""
A node of one's own for a driver: a process in namespaces and a cgroup that nobody else is in.

    python -m twinway_bench.apart MODULE FUNCTION FOLDER CGROUP ARGUMENTS       (what `apart` starts)

Whatever the function makes (devices, mounts, pins) ends with the process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from twinway import plugins
from twinway.driver import Driver, NodeContext
from twinway.model.net import NodeName
from twinway_bench.errors import BenchError
from twinway_bench.places import FIRST, output
from twinway_testing import site


@dataclass(frozen=True, slots=True)
class Node:
    """What a function that runs apart is given: a folder that goes with it, and the node as drivers see it."""

    folder: Path
    context: NodeContext

    @contextmanager
    def driver(self, name: str, **capacities: int) -> Iterator[Driver]:
        """An installed driver, started; tables have these capacities."""
        kind = plugins.load(name)
        driver = kind(self.context, kind.Options.model_validate({"maps": capacities}))
        driver.start()
        try:
            yield driver
        finally:
            driver.stop(keep_traffic=False)


def apart(module: str, function: str, cache: Path, **arguments: Any) -> Any:
    """
    What `function(node, **arguments)` of a module of the bench answers, in plain values.

    `cache` keeps compiled programs.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, site.cgroup("apart") as group:
        own = [sys.executable, "-m", "twinway_bench.apart", module, function]
        given = [folder, str(group), str(cache), json.dumps(arguments)]
        done = subprocess.run(
            [*FIRST, "unshare", "--net", "--mount", *own, *given], stdout=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        raise BenchError(f"{module}.{function} ended with status {done.returncode}")
    return json.loads(done.stdout)


def main() -> None:
    """Be the process that runs apart."""
    module, function, folder, group, cache, arguments = sys.argv[1:]
    Path(group, "cgroup.procs").write_text(str(os.getpid()))
    bpffs = Path(folder, "bpf")
    bpffs.mkdir()
    output(["mount", "-t", "bpf", "bpf", str(bpffs)])
    output(["ip", "link", "set", "lo", "up"])
    context = NodeContext(NodeName("n1"), bpffs / "node", Path(group), Path(cache), ())
    call: Callable[..., Any] = getattr(import_module(f"twinway_bench.{module}"), function)
    given: Mapping[str, Any] = json.loads(arguments)
    answer = call(Node(Path(folder), context), **given)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
