"""Places that programs run at: pods of a lab, and namespaces wired without any of this project."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twinway_bench.errors import BenchError
from twinway_lab import store
from twinway_lab.names import NETNS_DIR, LabName
from twinway_lab.nodes import agents
from twinway_lab.nodes.processes import Container
from twinway_lab.probe import places
from twinway_testing import site

_PROGRAM = "from twinway.cli.main import main; main()"
SHORT_LIVED: Mapping[str, str] = {
    # A connection a request is chaotic where ports wait for a minute to be used again.
    "ipv4/tcp_max_tw_buckets": "0",
    "ipv4/ip_local_port_range": "1024 65000",
}
"""Settings, below /proc/sys/net, of both ends where each request has a connection of its own."""

FIRST = ("nice", "-n", "-15")
"""Words before a command that is measured: whatever else the machine does, it shall come first."""
ON_ONE_PROCESSOR = ("taskset", "-c", str(max(os.sched_getaffinity(0))), *FIRST)
"""The same, for commands that are compared by their share of a processor."""

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere programs run: the words that go before a command there, and its address."""

    words: tuple[str, ...]
    address: str

    def command(self, *command: str) -> list[str]:
        """The words of a command at this place."""
        return [*self.words, *command]

    def run(self, *command: str) -> str:
        """What a command prints."""
        return output(self.command(*command))

    def prepare(self) -> None:
        """Ready for a connection a request."""
        lines = [f"echo {value} > /proc/sys/net/{key}" for key, value in SHORT_LIVED.items()]
        self.run("sh", "-ec", "\n".join(lines))


@dataclass(frozen=True, slots=True)
class Pair:
    """A client and a server, and the address and port by which the one asks the other."""

    client: Place
    server: Place
    host: str
    port: int
    worker: int
    """The process that answers."""


def output(command: Sequence[str]) -> str:
    """What a command prints; raises `BenchError` where it does not end well."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchError(f"the program `{command[0]}` is missing: install it") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise BenchError(f"`{' '.join(command[-6:])}`: {said[-1]}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab by name, driven by its commands alone."""

    name: str
    folder: Path

    def command(self, verb: str, *words: str) -> list[str]:
        """The words of one command."""
        cut = words.index("--") if "--" in words else len(words)
        mine = ("--name", self.name)
        return [sys.executable, "-P", "-c", _PROGRAM, "lab", verb, *words[:cut], *mine, *words[cut:]]

    def run(self, verb: str, *words: str) -> str:
        """What a command prints."""
        return output(self.command(verb, *words))

    def file(self, *objects: Object) -> str:
        """A file with these objects."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self.folder, delete=False) as file:
            json.dump({"apiVersion": "v1", "kind": "List", "items": objects}, file)
        return file.name

    @property
    def pins(self) -> Path:
        """What the agent of node n1 has pinned."""
        return agents.pins(LabName(self.name), "n1") / "twinway"

    def place(self, name: str) -> Place:
        """A pod by `NS/POD`."""
        return self.places(name)[0]

    def places(self, *names: str) -> list[Place]:
        """Pods by `NS/POD`; programs run there as `twinway lab exec` has them run, but start in no time."""
        name = LabName(self.name)
        plan = store.load(name).plan
        pods = {str(pod.place): pod for pod in plan.pods}
        containers = [places.pod_container(name, pods[each]) for each in names]
        addresses = [str(pods[each].addresses[0]) for each in names]
        return [
            Place(_entering(container), address) for container, address in zip(containers, addresses, strict=True)
        ]


def _entering(container: Container) -> tuple[str, ...]:
    joining = (
        f'echo $$ >"{container.group}/cgroup.procs" && exec nsenter --net="{NETNS_DIR / container.netns}" -- "$@"'
    )
    return ("sh", "-c", joining, "sh")


@contextmanager
def lab(
    driver: str, *objects: Object, name: str = "lab", config: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Lab]:
    """A lab with these objects and pods on veth, until the block ends; `config` is for every node."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = Lab(f"bench-{os.getpid()}-{name}", Path(folder))
        options = Path(folder, "node.yaml")
        options.write_text(json.dumps(dict(config)))
        words = (
            "-f",
            made.file(*objects),
            "--driver",
            driver,
            "--pod-device",
            "veth",
            "--node-config",
            str(options),
        )
        try:
            made.run("up", *words, "--timeout", "120")
            yield made
        finally:
            made.run("down")


@contextmanager
def routed_pair() -> Iterator[tuple[Place, Place]]:
    """
    A client and a server on veth, routed by a namespace between them, as a `ptp` CNI plugin wires pods.

    No BPF, and no netfilter rule: the best that pods on veth can have of a host's stack.
    """
    with contextlib.ExitStack() as stack:
        router = stack.enter_context(site.namespace("router"))
        ends = []
        for number, role in enumerate(("client", "server"), start=1):
            inside = stack.enter_context(site.namespace(role))
            address, gateway = f"10.9.{number}.2", f"10.9.{number}.1"
            for words in (
                f"ip -n {router.name} link add {role} type veth peer name eth0 netns {inside.name}",
                f"ip -n {router.name} address add {gateway}/32 dev {role}",
                f"ip -n {router.name} link set {role} up",
                f"ip -n {router.name} route add {address}/32 dev {role}",
                f"ip -n {inside.name} address add {address}/24 dev eth0",
                f"ip -n {inside.name} link set eth0 up",
                f"ip -n {inside.name} route add default via {gateway}",
            ):
                output(words.split())
            ends.append(_in(inside, address))
        _in(router).run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        yield ends[0], ends[1]


def _in(namespace: Path, address: str = "") -> Place:
    return Place(("nsenter", f"--net={namespace}"), address)
