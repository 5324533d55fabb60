"""What `twinway lab status` reports."""

from __future__ import annotations

from typing import Any

from twinway_lab.names import LabName
from twinway_lab.nodes import agents, manifests
from twinway_lab.plan.plan import NodePlan, PodPlan
from twinway_lab.store import LabState


def status(lab: LabName, state: LabState) -> dict[str, Any]:
    """What `twinway lab status --json` prints."""
    return {
        "name": lab.name,
        "driver": state.driver,
        "pod_device": state.pod_device,
        "version": manifests.version(lab),
        "nodes": [_node(lab, node) for node in state.plan.nodes],
        "pods": [_pod(pod) for pod in state.plan.pods],
        "pending": manifests.pending(lab),
        "services": [
            {"service": f"{ref.namespace}/{ref.name}", "addresses": manifests.cluster_ips(service)}
            for ref, service in manifests.services(lab).items()
        ],
    }


def in_words(node: dict[str, Any]) -> str:
    """One line on a node's agent."""
    agent = node["agent"]
    if agent is None:
        return "not running"
    return f"{agent['driver']}, pid {agent['pid']}" + (f", error: {agent['error']}" if agent["error"] else "")


def _node(lab: LabName, node: NodePlan) -> dict[str, Any]:
    words = node.as_json()
    return {
        "name": node.name,
        "addresses": words["addresses"],
        "pod_cidrs": words["pod_cidrs"],
        "agent": agents.status(lab, node.name),
    }


def _pod(pod: PodPlan) -> dict[str, Any]:
    return {
        "pod": str(pod.place),
        "node": pod.node,
        "addresses": [str(address) for address in pod.addresses],
        "ports": [f"{port.number}/{port.protocol.value.lower()}" for port in pod.ports],
        "host_network": pod.host_network,
    }
