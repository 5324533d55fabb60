"""A real agent process on a driver in memory, in folders of the test's own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tests.unit.cni.requests import config, environment, message
from twinway.client import AgentClient
from twinway.model.net import ObjectRef
from twinway.model.node import Attachment

REPOSITORY = Path(__file__).parents[2]

DRIVERS = """
from tests.fakes import FakeDriver
class Fake(FakeDriver):
    name = "fake"
class Other(FakeDriver):
    name = "other"
class Clinging(FakeDriver):
    name = "clinging"
    def retire(self):
        return False
class Failing(FakeDriver):
    name = "failing"
    def requirements(self):
        from twinway.driver import Requirement
        return (Requirement("tcx", False, True, "use a kernel of 6.6 or newer"),)
    def start(self):
        from twinway.errors import Unsupported
        raise Unsupported("tcx", "use a kernel of 6.6 or newer")
"""

COMMANDS = """
import typer
app = typer.Typer()
@app.command()
def greet(name: str = "you") -> None:
    print("hello", name)
@app.command()
def fail() -> None:
    from twinway.errors import LabError
    raise LabError("lab demo: is gone: twinway lab up")
"""

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80, "protocol": "TCP"}]},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
    "status": {"podIP": "10.0.0.11"},
}


class Site:
    """Folders, manifests and installed drivers for agents that run one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_dir = folder / "run"
        self.manifests = folder / "manifests"
        self.manifests.mkdir()
        packages = folder / "packages"
        packages.mkdir()
        (packages / "memory_drivers.py").write_text(DRIVERS)
        (packages / "memory_commands.py").write_text(COMMANDS)
        info = packages / "memory_drivers-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-drivers\nVersion: 1.0\n")
        names = ("Fake", "Other", "Clinging", "Failing")
        entries = "\n".join(f"{name.lower()} = memory_drivers:{name}" for name in names)
        (info / "entry_points.txt").write_text(
            f"[twinway.drivers]\n{entries}\n[twinway.commands]\nextra = memory_commands:app\n"
        )
        self.environment = {**os.environ, "PYTHONPATH": f"{packages}:{REPOSITORY}", "HOME": str(folder)}
        self.environment.pop("COLUMNS", None)  # it would fold tables
        self.running: list[Agent] = []

    def put(self, name: str, *objects: dict[str, Any]) -> str:
        """Write a manifest in one step; the version of what is there now."""
        from twinway.sources.manifests.source import version_of

        text = "\n---\n".join(json.dumps(item) for item in objects)
        scratch = self.folder / name
        scratch.write_text(text)
        scratch.replace(self.manifests / name)
        return version_of([self.manifests])

    def config(self, **changes: Any) -> Path:
        """The node's config, as a file."""
        path = self.folder / "node.json"
        whole = {
            "node_name": "n1",
            "driver": "fake",
            "source": {"kind": "manifests", "paths": [str(self.manifests)], "hold_seconds": 0},
            "cgroup_root": str(self.folder),
            "bpffs": str(self.folder / "bpf"),
            "run_dir": str(self.run_dir),
            "cache_dir": str(self.folder / "cache"),
            **changes,
        }
        path.write_text(json.dumps(whole))
        return path

    def twinway(
        self, *words: str | Path, prefix: tuple[str, ...] = (), words_in: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """The command line's answer."""
        return subprocess.run(
            [*prefix, *COMMAND, *words],
            env=self.environment,
            input=words_in,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def agent(self, prefix: tuple[str, ...] = (), *, script: Path | None = None, **changes: Any) -> Agent:
        """A started agent; `prefix` is a command that runs it, `script` the pipe that its source follows."""
        agent = Agent(self, self.config(**changes), prefix, script)
        self.running.append(agent)
        agent.await_line("started ")
        return agent

    def close(self) -> None:
        """End what still runs."""
        for agent in self.running:
            agent.end(signal.SIGKILL)


def attach(site: Site, pod: dict[str, Any]) -> None:
    """Have a pod attached as if CNI had added it before the agent was started."""
    from twinway.attachments import Attachments

    address = ip_address(pod["status"]["podIP"])
    ref = ObjectRef("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
    Attachments(site.run_dir / "attachments", lambda: None).add(
        Attachment(ref, "c1", "/proc/self/ns/net", "eth0", (address,))
    )


def cni(site: Site, verb: str, run_dir: Path | None = None) -> tuple[int, str]:
    """The agent's answer on its CNI socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str((run_dir or site.run_dir) / "cni.sock"))
        connection.sendall(message(environment(verb), config()))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            status, _, stdout = stream.read().partition(b"\n")
    return int(status), stdout.decode()


def healthz(site: Site) -> tuple[int, str]:
    """What a supervisor is answered."""
    connection = http.client.HTTPConnection("agent")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(site.run_dir / "agent.sock"))
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    return response.status, response.read().decode()


COMMAND = (sys.executable, "-c", "from twinway.cli.main import main; main()")


class Agent:
    """One agent process."""

    def __init__(self, site: Site, config: Path, prefix: tuple[str, ...] = (), script: Path | None = None) -> None:
        command: list[str | Path] = [*COMMAND, "agent", "--config", config]
        if script is not None:
            command = [sys.executable, "-m", "tests.unit.scripted_agent", config, script]
        self.process = subprocess.Popen(
            [*prefix, *command],
            env=site.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.client = AgentClient(site.run_dir / "agent.sock")
        self.lines: list[str] = []

    def await_line(self, part: str) -> str:
        """The next line of the log that holds `part`; fails with the log where none comes."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if part in line:
                return line
        raise AssertionError(f"no line with {part!r} in:\n" + "\n".join(self.lines))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal; safe to repeat."""
        if self.process.returncode is None:
            self.process.send_signal(number)
            _, rest = self.process.communicate(timeout=30)
            self.lines += rest.splitlines()
        return self.process.returncode
