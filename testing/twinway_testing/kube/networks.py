"""What serves the pods of the cluster: twinway's agents, or kube-proxy for comparison."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Protocol

from twinway.errors import TwinwayError
from twinway_cni.plugin import plugin_path
from twinway_testing.kube import binaries, cgroups, plan
from twinway_testing.kube.control_plane import kubectl
from twinway_testing.kube.host import Host
from twinway_testing.kube.output import wait_for
from twinway_testing.kube.pki import Pki

DEVICES = ("veth", "macvlan")
RBAC = Path(__file__).parent / "data" / "twinway-rbac.yaml"
SHIM = "pods"
"""The node's own macvlan device beside those of its pods: a parent cannot reach its children."""

_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


class Network(Protocol):
    """A pod network that the cluster is brought up with."""

    @property
    def title(self) -> str:
        """What serves pods, and on which devices, as the table of the e2e tests names it."""

    def prepare(self, control: Host, pki: Pki) -> None:
        """Create what the nodes need at the API server, before any of them is connected."""

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Give a node its CNI chain and the programs that serve its pods."""


@dataclass(frozen=True, slots=True)
class KubeProxy:
    """kube-proxy on each node, in its nftables mode, and pods on veth pairs."""

    title: str = "kube-proxy on veth"

    def prepare(self, control: Host, pki: Pki) -> None:
        """Do nothing: Kubernetes has its role from the start."""

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Write the chain and start kube-proxy."""
        _write_chain(node, [_ptp(pod_cidrs), _PORTMAP])
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": plan.joined(plan.POD_CIDRS),
            "hostnameOverride": node.name,
            "clientConnection": {"kubeconfig": str(pki.kubeconfig("kube-proxy"))},
            "conntrack": {"maxPerCore": 0},
        }
        path = node.folder / "kube-proxy.yaml"
        path.write_text(json.dumps(config, indent=1))
        node.spawn("kube-proxy", binaries.folder() / "kube-proxy", f"--config={path}", "--v=2")


@dataclass(frozen=True, slots=True)
class Agents:
    """twinway's agent on each node as a process of the node, which follows the API server by its least role."""

    driver: str
    device: str

    @property
    def title(self) -> str:
        """Driver and device."""
        return f"{self.driver} on {self.device}"

    def prepare(self, control: Host, pki: Pki) -> None:
        """Create the role and the service account, and write a kubeconfig with its token."""
        kubectl(control, pki, "apply", "-f", RBAC)
        words = ("-n", "kube-system", "create", "token", "twinway", "--duration=720h")
        token = pki.folder / "twinway.token"
        token.touch(mode=0o600)
        token.write_text(str(kubectl(control, pki, *words, stdout=subprocess.PIPE).stdout))
        pki.write_kubeconfig("twinway", {"tokenFile": str(token)})

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Write the chain, start the agent and wait until it answers the CNI plugin."""
        if self.device == "macvlan":
            _add_shim(node, pod_cidrs)
        node.do("cp", plugin_path(), "/opt/cni/bin/twinway")
        config = {
            "node_name": node.name,
            "driver": self.driver,
            "source": {"kind": "kubernetes", "kubeconfig": str(pki.kubeconfig("twinway"))},
            "cgroup_root": cgroups.unified(),
            "bpffs": "/sys/fs/bpf",
            "run_dir": "/run/twinway",
            "cache_dir": str(binaries.cache()),
            "uplinks": ["eth0"],
        }
        path = node.folder / "twinway.yaml"
        path.write_text(json.dumps(config, indent=1))
        program = Path(sys.executable).with_name("twinway")
        agent = node.spawn("twinway", program, "agent", "--config", path)
        wait_for(f"twinway's agent of {node.name}", lambda: _serves_cni(node), 90, agent)
        first = _ptp(pod_cidrs) if self.device == "veth" else _macvlan(pod_cidrs)
        _write_chain(node, [first, _PORTMAP, {"type": "twinway"}])


def network(driver: str, device: str) -> Network:
    """The network of this name: a driver of twinway, or `kube-proxy`."""
    if device not in DEVICES:
        raise TwinwayError(f"cluster: {device} is not a device of the cluster: give one of {', '.join(DEVICES)}")
    if driver == "kube-proxy":
        if device != "veth":
            raise TwinwayError("cluster: kube-proxy serves pods on veth alone: leave DEVICE out")
        return KubeProxy()
    return Agents(driver, device)


def _serves_cni(node: Host) -> bool:
    return node.do("test", "-S", "/run/twinway/cni.sock", check=False).returncode == 0


# -- chains ----------------------------------------------------------------------------------------------

_PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


def _write_chain(node: Host, plugins: Sequence[dict[str, Any]]) -> None:
    chain = {"cniVersion": "1.0.0", "name": "pods", "plugins": list(plugins)}
    text = json.dumps(chain, indent=1)
    node.do("tee", "/etc/cni/net.d/10-pods.conflist", input=text, stdout=subprocess.DEVNULL)


def _ptp(pod_cidrs: Sequence[str]) -> dict[str, Any]:
    return {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": _host_local(pod_cidrs)}


def _macvlan(pod_cidrs: Sequence[str]) -> dict[str, Any]:
    return {"type": "macvlan", "master": "eth0", "mode": "bridge", "mtu": 1500, "ipam": _host_local(pod_cidrs)}


def _host_local(pod_cidrs: Sequence[str]) -> dict[str, Any]:
    ranges = [[{"subnet": cidr}] for cidr in pod_cidrs]
    routes = [{"dst": _EVERYWHERE[ip_network(cidr).version]} for cidr in pod_cidrs]
    return {"type": "host-local", "ranges": ranges, "routes": routes}


def _add_shim(node: Host, pod_cidrs: Sequence[str]) -> None:
    # It has the address that host-local gives pods as their gateway. The node speaks to its pods from its own
    # address, as the cluster knows it.
    node.do("ip", "link", "add", SHIM, "link", "eth0", "type", "macvlan", "mode", "bridge")
    node.do("ip", "link", "set", SHIM, "up")
    for cidr, source in zip(pod_cidrs, node.addresses, strict=True):
        subnet = ip_network(cidr)
        node.do("ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", SHIM, "noprefixroute")
        node.do("ip", "route", "add", cidr, "dev", SHIM, "src", source)
