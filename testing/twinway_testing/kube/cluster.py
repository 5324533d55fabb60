"""The cluster as a whole: brought up, looked at, taken down."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from twinway.errors import TwinwayError
from twinway_testing.kube import binaries, build, cgroups, control_plane, images, node, plan
from twinway_testing.kube.host import Host
from twinway_testing.kube.networks import Network
from twinway_testing.kube.output import say, wait_for
from twinway_testing.kube.pki import Pki

DNS = Path(__file__).parent / "data" / "dns.yaml"
# Every host has an overlay of its own on these.
_OVERLAID = ("etc", "opt", "var", "run", "proc", "sys", "dev")


class Cluster:
    """A cluster in a folder, which is there as long as the cluster is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if self.folder.parts[1] in _OVERLAID:
            raise TwinwayError(f"cluster: {folder}: the cluster's folder may not be in /{self.folder.parts[1]}")
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()
        self._group = f"twinway-cluster-{digest[:8]}"
        self.pki = Pki(self.folder / "pki")

    # -- hosts -------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Host]:
        """The nodes, none while the cluster is down."""
        return [self._host(name) for name in plan.node_names(self._recorded("nodes", 0))]

    @property
    def network(self) -> str:
        """The title of the network that the cluster was brought up with."""
        return str(self._recorded("network", ""))

    @property
    def control(self) -> Host:
        """The host of the control plane."""
        return self._host(plan.CONTROL)

    def host(self, name: str) -> Host:
        """The host of this name."""
        hosts = {host.name: host for host in (self.control, *self.nodes)}
        if name not in hosts:
            raise TwinwayError(f"cluster: {name} is not a host: give one of {', '.join(hosts)}")
        return hosts[name]

    @property
    def _record(self) -> Path:
        return self.folder / "cluster.json"

    def _recorded(self, key: str, otherwise: Any) -> Any:
        return json.loads(self._record.read_text())[key] if self._record.exists() else otherwise

    def _host(self, name: str) -> Host:
        host = Host(self._group, name, self.folder / name)
        if name == plan.CONTROL:
            host.environment = {"KUBECONFIG": str(self.pki.kubeconfig("admin"))}
        return host

    # -- up ----------------------------------------------------------------------------------------------

    def up(self, count: int, network: Network) -> None:
        """Bring a cluster of so many nodes up, and return when its DNS answers."""
        if self.nodes:
            raise TwinwayError("cluster: it is up already: take it down first (make cluster-down)")
        build.build_cluster()
        _allow_many_files()
        begun = time.monotonic()
        self.folder.mkdir(parents=True)
        self._record.write_text(json.dumps({"nodes": count, "network": network.title}))
        control, nodes = self.control, self.nodes
        for host in (control, *nodes):
            host.start([control, *nodes])
            host.plug_in(control)
        self.pki.create([each.name for each in nodes])
        control_plane.start(control, self.pki)
        say(f"cluster: the control plane is up after {time.monotonic() - begun:.0f} s")
        for each in nodes:
            node.start(each, self.pki)
        pod_cidrs = self._pod_cidrs()
        self._route(pod_cidrs)
        network.prepare(control, self.pki)
        for each in nodes:
            network.connect(each, self.pki, pod_cidrs[each.name])
        network.settle(control, self.pki)
        self._install_dns()
        say(f"cluster: up after {time.monotonic() - begun:.0f} s")

    def _pod_cidrs(self) -> Mapping[str, list[str]]:
        # The controller manager gives each node its ranges soon after kubelet has registered it.
        found: dict[str, list[str]] = {}

        def all_have_some() -> bool:
            items = self.asked("get", "nodes")["items"]
            found.update({item["metadata"]["name"]: item["spec"].get("podCIDRs", []) for item in items})
            return len(found) == len(self.nodes) and all(found.values())

        wait_for("ranges of addresses for every node's pods", all_have_some, 120)
        return found

    def _route(self, pod_cidrs: Mapping[str, list[str]]) -> None:
        for host in (self.control, *self.nodes):
            for other in self.nodes:
                if other.name != host.name:
                    for cidr, address in zip(pod_cidrs[other.name], other.addresses, strict=True):
                        host.do("ip", "route", "add", cidr, "via", address)

    def _install_dns(self) -> None:
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=180s")
        text = Template(DNS.read_text()).substitute(dns=plan.DNS_IP, image=images.COREDNS)
        self.kubectl("apply", "-f", "-", input=text)
        self.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=180s")

    # -- down, status --------------------------------------------------------------------------------------

    def down(self) -> None:
        """End every process of the cluster and remove its folder; safe to repeat."""
        for host in (*self.nodes, self.control):
            host.stop()
        for group in cgroups.groups(self._group):
            cgroups.remove(group)
        shutil.rmtree(self.folder, ignore_errors=True)

    def print_status(self) -> None:
        """Print the memory of the larger processes, then the nodes and pods."""
        total = 0
        for host in (self.control, *self.nodes):
            memory = next(group for group in host.groups if "memory" in group.parts)
            for pid in cgroups.processes(memory):
                name, mib = _memory(pid)
                total += mib
                if mib >= 20:
                    print(f"{host.name:10} {pid:8} {name:26} {mib:6} MiB")
        print(f"resident memory of all processes: {total} MiB")
        if self.control.pid:
            self.kubectl("get", "nodes,pods", "-A", "-o", "wide")

    # -- the API server --------------------------------------------------------------------------------------

    def kubectl(self, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; `options` are those of `subprocess.run`."""
        return control_plane.kubectl(self.control, self.pki, *words, **options)

    def asked(self, *words: object) -> Any:
        """The JSON that kubectl prints for these words."""
        return json.loads(self.kubectl(*words, "-o", "json", stdout=subprocess.PIPE).stdout)


def default_folder() -> Path:
    """Where the cluster of `make cluster-up` is."""
    return binaries.cache() / "cluster"


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _memory(pid: int) -> tuple[str, int]:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return "", 0
    return name, pages * resource.getpagesize() // (1 << 20)
