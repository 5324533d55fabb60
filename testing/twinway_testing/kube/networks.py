"""What serves the pods of the cluster: twinway's agents, or kube-proxy for comparison."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from twinway.errors import TwinwayError
from twinway_cni.plugin import plugin_path
from twinway_testing.kube import binaries, cgroups, chains, plan
from twinway_testing.kube.control_plane import kubectl
from twinway_testing.kube.host import Host
from twinway_testing.kube.node import import_image
from twinway_testing.kube.output import wait_for
from twinway_testing.kube.pki import Pki

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "chart" / "twinway" / "rules.yaml"
"""What the chart lets an agent do at the API server."""


class Network(Protocol):
    """A pod network that the cluster is brought up with."""

    @property
    def title(self) -> str:
        """What serves pods, and on which devices, as the table of the e2e tests names it."""

    def prepare(self, control: Host, pki: Pki) -> None:
        """Create what the nodes need at the API server, before any of them is connected."""

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Give a node its CNI chain and the programs that serve its pods."""

    def settle(self, control: Host, pki: Pki) -> None:
        """Return when pods can be added, once every node is connected."""


@dataclass(frozen=True, slots=True)
class KubeProxy:
    """kube-proxy on each node, in its nftables mode, and pods on veth pairs."""

    title: str = "kube-proxy on veth"

    def prepare(self, control: Host, pki: Pki) -> None:
        """Do nothing: Kubernetes has its role from the start."""

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Write the chain and start kube-proxy."""
        chains.write(node, chains.base("veth", pod_cidrs))
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

    def settle(self, control: Host, pki: Pki) -> None:
        """Do nothing: tests wait for their Services."""


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
        kubectl(control, pki, "apply", "-f", "-", input=yaml.safe_dump_all(_account()))
        words = ("-n", "kube-system", "create", "token", "twinway", "--duration=720h")
        token = pki.folder / "twinway.token"
        token.touch(mode=0o600)
        token.write_text(str(kubectl(control, pki, *words, stdout=subprocess.PIPE).stdout))
        pki.write_kubeconfig("twinway", {"tokenFile": str(token)})

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Write the chain, start the agent and wait until it answers the CNI plugin."""
        chains.prepare(node, self.device, pod_cidrs)
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
        chains.write(node, [*chains.base(self.device, pod_cidrs), {"type": "twinway"}])

    def settle(self, control: Host, pki: Pki) -> None:
        """Do nothing: `connect` has waited for the agent."""


@dataclass(frozen=True, slots=True)
class DaemonSet:
    """twinway as it is installed in a cluster: its image, its manifests, and a chain that it enters by itself."""

    driver: str
    device: str
    image: Path
    """OCI archive, as `make image` writes it."""
    manifests: Path
    """The chart, rendered with its default values."""

    @property
    def title(self) -> str:
        """Driver and device, as those of agents: pods are served alike."""
        return f"{self.driver} on {self.device}"

    def prepare(self, control: Host, pki: Pki) -> None:
        """Do nothing: the manifests wait for a chain that they can enter."""

    def connect(self, node: Host, pki: Pki, pod_cidrs: Sequence[str]) -> None:
        """Give a node the image and a chain without twinway."""
        del pki  # the agents' credentials are those of their service account
        chains.prepare(node, self.device, pod_cidrs)
        import_image(node, self.image)
        chains.write(node, chains.base(self.device, pod_cidrs))

    def settle(self, control: Host, pki: Pki) -> None:
        """Apply the manifests with driver and address of the API server, and wait until every agent is ready."""
        documents = list(filter(None, yaml.safe_load_all(self.manifests.read_text())))
        for document in documents:
            self._adapt(document)
        kubectl(control, pki, "apply", "-f", "-", input=yaml.safe_dump_all(documents))
        kubectl(control, pki, "-n", "kube-system", "rollout", "status", "daemonset/twinway", "--timeout=180s")

    def _adapt(self, document: dict[str, Any]) -> None:
        if document["kind"] == "ConfigMap":
            config = yaml.safe_load(document["data"]["node.yaml"])
            document["data"]["node.yaml"] = yaml.safe_dump({**config, "driver": self.driver})
        elif document["kind"] == "DaemonSet":
            # Nobody serves the Service `kubernetes` on a node before its first agent does.
            (agent,) = document["spec"]["template"]["spec"]["containers"]
            host, port = plan.addresses(plan.CONTROL)[0], str(plan.API_PORT)
            named = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
            agent["env"] += [{"name": name, "value": value} for name, value in named.items()]


def network(driver: str, device: str, installed: tuple[Path, Path] | None = None) -> Network:
    """The network of a driver of twinway, or `kube-proxy`; `installed` are image and manifests of a DaemonSet."""
    if device not in chains.DEVICES:
        devices = ", ".join(chains.DEVICES)
        raise TwinwayError(f"cluster: {device} is not a device of the cluster: give one of {devices}")
    if driver == "kube-proxy":
        if device != "veth":
            raise TwinwayError("cluster: kube-proxy serves pods on veth alone: leave DEVICE out")
        return KubeProxy()
    for file in installed or ():
        if not file.exists():
            raise TwinwayError(f"cluster: {file}: is not there: build it first (make image, make chart)")
    return DaemonSet(driver, device, *installed) if installed else Agents(driver, device)


def _account() -> list[dict[str, Any]]:
    # The agents' service account, and the role that has the chart's rules.
    account = {"kind": "ServiceAccount", "name": "twinway", "namespace": "kube-system"}
    role = {"kind": "ClusterRole", "name": "twinway"}
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account["name"], "namespace": account["namespace"]},
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role["name"]},
            "rules": yaml.safe_load(RULES.read_text()),
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role["name"]},
            "roleRef": {"apiGroup": group, **role},
            "subjects": [account],
        },
    ]


def _serves_cni(node: Host) -> bool:
    return node.do("test", "-S", "/run/twinway/cni.sock", check=False).returncode == 0
