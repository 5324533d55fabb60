"""CNI chains of the cluster's nodes: the plugins before twinway, and what they need of the node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from twinway_testing.kube.host import Host

DEVICES = ("veth", "macvlan")
"""Kinds of pods' devices."""
SHIM = "pods"
"""The node's own macvlan device beside those of its pods: a parent cannot reach its children."""

_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}

_PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


def base(device: str, pod_cidrs: Sequence[str]) -> list[dict[str, Any]]:
    """The plugins before twinway, for pods on this kind of device with addresses in these ranges."""
    first = _ptp(pod_cidrs) if device == "veth" else _macvlan(pod_cidrs)
    return [first, _PORTMAP]


def write(node: Host, plugins: Sequence[dict[str, Any]]) -> None:
    """Write the chain that the node's runtime adds pods by."""
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


def prepare(node: Host, device: str, pod_cidrs: Sequence[str]) -> None:
    """Make the device by which a node reaches its own macvlan pods, and they the node; nothing on veth."""
    if device != "macvlan":
        return
    # It has the address that host-local gives pods as their gateway. The node speaks to its pods from its own
    # address, as the cluster knows it.
    node.do("ip", "link", "add", SHIM, "link", "eth0", "type", "macvlan", "mode", "bridge")
    node.do("ip", "link", "set", SHIM, "up")
    for cidr, source in zip(pod_cidrs, node.addresses, strict=True):
        subnet = ip_network(cidr)
        node.do("ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", SHIM, "noprefixroute")
        node.do("ip", "route", "add", cidr, "dev", SHIM, "src", source)
