"""Make and remove the underlay, the external host and the nodes of a lab."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping

from twinway.errors import LabError
from twinway_lab.names import EXTERNAL, LabName, node_place
from twinway_lab.network import netns, parent, syscalls, topology
from twinway_lab.network.parent import SHARED_PARENT
from twinway_lab.network.topology import FORWARDING, QUIET
from twinway_lab.nodes import agents, cgroups
from twinway_lab.plan.plan import NodePlan


def make_underlay(lab: LabName) -> None:
    """Make the lab's directories, its BPF file system, the underlay and the external host."""
    for name in ("manifests", "nodes", "places", "pods", "log", "bpf"):
        (lab.state / name).mkdir(mode=0o700, parents=True)
    syscalls.mount_bpffs(lab.state / "bpf")
    _make(lab.underlay, {**QUIET, **FORWARDING}, topology.underlay())
    outside = lab.netns(EXTERNAL)
    _make(outside, QUIET, [])
    with netns.inside(lab.underlay):
        netns.ip([*topology.plugged("external", outside), *topology.beyond()])
    with netns.inside(outside):
        netns.ip(topology.external())


def make(lab: LabName, node: NodePlan, device: str) -> None:
    """Make a node without an agent and plug it in. Raises `LabError` where the kernel lacks `device`."""
    name = lab.netns(node_place(node.name))
    (lab.node_dir(node.name) / "run").mkdir(mode=0o700, parents=True)
    agents.pins(lab, node.name).mkdir(mode=0o700)
    cgroups.of_node(lab, node.name).mkdir(parents=True)
    _make(name, {**QUIET, **FORWARDING}, [])
    with netns.inside(lab.underlay):
        netns.ip(topology.plugged(topology.node_port(node), name, mac=topology.node_mac(node)))
        if device in SHARED_PARENT:
            netns.ip(topology.plugged(parent.port(node), name, parent.PARENT))
    with netns.inside(name):
        netns.ip(topology.node(node))
        if device in SHARED_PARENT:
            _make_slave(device, node)


def remove(lab: LabName, node: NodePlan) -> None:
    """End all processes of a node and remove all that it had."""
    group = cgroups.of_node(lab, node.name)
    cgroups.kill(group)
    for path in (agents.pins(lab, node.name), lab.node_dir(node.name)):
        shutil.rmtree(path, ignore_errors=True)
    name = lab.netns(node_place(node.name))
    if netns.exists(name):
        # The kernel removes a namespace a moment later; the node's successor needs the name of its port at once.
        with netns.inside(lab.underlay):
            ports = (topology.node_port(node), parent.port(node))
            netns.ip((f"link del {port}" for port in ports), whatever_is_there=True)
    netns.delete(name)
    lab.place_socket(node_place(node.name)).unlink(missing_ok=True)
    cgroups.remove(group)


def _make(name: str, settings: Mapping[str, str], lines: list[str]) -> None:
    netns.create(name)
    with netns.inside(name):
        netns.set_sysctls(settings)
        netns.ip(lines)


def _make_slave(device: str, node: NodePlan) -> None:
    netns.ip(parent.parent())
    name = parent.slave_name(device, socket.if_nametoindex(parent.PARENT))
    try:
        netns.ip(parent.slave(device, name, node))
    except LabError as error:
        if "Unknown device type" in str(error) or "not supported" in str(error):
            raise LabError(f"this kernel has no {device}: take another --pod-device") from error
        raise
    netns.set_sysctls(parent.settings(name))
