"""
One host of the cluster: namespaces for network, mounts, processes, IPC, names and cgroups.

Everything that ever ran on a host ends with its first process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinway_testing.kube import binaries, cgroups, plan
from twinway_testing.kube.output import wait_for

FIRST = Path(__file__).parent / "data" / "first.sh"
SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""What kubelet writes if it does not read it: the machine's own settings stay as they are."""

_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
_NAMESPACES = ("mount", "net", "uts", "ipc", "cgroup")


class Host:
    """A host by its name; `folder` holds all that it writes."""

    def __init__(self, cluster: str, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "log"
        self.addresses = plan.addresses(name)
        self._group = (cluster, name)
        self.environment: Mapping[str, str] = {}
        """Variables of everything that runs here, beside this process's own."""

    # -- life ------------------------------------------------------------------------------------------

    def start(self, hosts: list[Host]) -> None:
        """Make the namespaces and the first process; these hosts are known here by name."""
        self.log.mkdir(parents=True)
        for group in self.groups:
            cgroups.make(group)
        names = (f"{address} {host.name}" for host in hosts for address in host.addresses)
        environment = {
            "ROOT": str(self.folder),
            "PAUSE": str(binaries.folder() / "pause"),
            "NAME": self.name,
            "HOSTS": "\n".join(names),
            "HIERARCHIES": " ".join(f"{name}:{kind}" for name, kind in cgroups.hierarchies().items()),
            "SYSCTLS": " ".join(f"{key}={value}" for key, value in SYSCTLS.items()),
            "BRIDGE_FILTER": "0" if self.name == plan.CONTROL else "1",
        }
        unshare = [
            "unshare",
            *(f"--{kind}" for kind in _NAMESPACES),
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        outer = self._launch([*unshare, "sh", str(FIRST)], "first", environment)
        wait_for(f"host {self.name}", (self.folder / "ready").exists, 20, outer)
        first = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0])
        self._record.write_text(json.dumps([first, _started(first)]))

    def plug_in(self, control: Host) -> None:
        """Connect to the underlay, a bridge on the control host."""
        if self.name == control.name:
            device = "underlay"
            self.do("ip", "link", "add", device, "type", "bridge")
        else:
            device = "eth0"
            peer = ["type", "veth", "peer", "name", device, "netns", self.pid]
            # The namespace is named by a process id, which is another one in the control host's.
            control.do("ip", "link", "add", self.name, "master", "underlay", "up", *peer, pid_namespace=False)
        for address, network in zip(self.addresses, plan.UNDERLAY, strict=True):
            self.do("ip", "address", "add", f"{address}/{network.prefixlen}", "dev", device)
        self.do("ip", "link", "set", device, "up")
        if self.name != control.name:
            for address in control.addresses:
                self.do("ip", "route", "add", "default", "via", address)

    def stop(self) -> None:
        """End all that runs here and remove the cgroups; safe to repeat."""
        if pid := self.pid:
            os.kill(pid, signal.SIGKILL)
            wait_for(f"end of {self.name}", lambda: not Path(f"/proc/{pid}").exists(), 60)
        for group in self.groups:
            wait_for(f"end of all processes in {group}", lambda group=group: cgroups.remove(group), 30)  # type: ignore[misc]

    @property
    def pid(self) -> int:
        """The first process, 0 if there is none, also when another one has its number."""
        if not self._record.exists():
            return 0
        pid, started = json.loads(self._record.read_text())
        return pid if _started(pid) == started else 0

    @property
    def groups(self) -> list[Path]:
        """The cgroups of this host, as the machine sees them."""
        return cgroups.groups(*self._group)

    # -- what runs here --------------------------------------------------------------------------------

    def do(self, *command: object, pid_namespace: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command here to its end; `options` are those of `subprocess.run`."""
        words = self._in_groups(self._inside(command, pid_namespace=pid_namespace))
        given = {"check": True, "text": True, "env": self._variables(), **options}
        return subprocess.run(words, **given)  # noqa: PLW1510 (`check` is among the options)

    def asked(self, *command: object) -> str:
        """What a command here prints."""
        return str(self.do(*command, stdout=subprocess.PIPE).stdout)

    def spawn(self, name: str, *command: object, **variables: str) -> subprocess.Popen[bytes]:
        """Start a program that stays; its output goes to `log/NAME.log`."""
        return self._launch(self._inside(command, pid_namespace=True), name, variables)

    def _launch(self, command: list[str], name: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        environment = {**self._variables(), **variables}
        with (self.log / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self._in_groups(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )

    def _inside(self, command: tuple[object, ...], *, pid_namespace: bool) -> list[str]:
        kinds = (*_NAMESPACES, "pid") if pid_namespace else _NAMESPACES
        enter = ["nsenter", f"--target={self.pid}", *(f"--{kind}" for kind in kinds), f"--wdns={self.folder}"]
        return [*enter, "--", *map(str, command)]

    def _in_groups(self, command: list[str]) -> list[str]:
        return ["sh", "-c", _JOIN, "sh", *map(str, self.groups), "--", *command]

    def _variables(self) -> dict[str, str]:
        # `twinway` is that of this environment, too.
        path = f"{binaries.folder()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, **self.environment, "PATH": path}

    @property
    def _record(self) -> Path:
        return self.folder / "first.json"


def _started(pid: int) -> str | None:
    # In clock ticks since boot: together with its number, this identifies a process.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
