"""
What a node should do, from what the cluster says: pure, sorted, the same on every run.

`desired` from scratch is the specification. What an agent runs is a `Memo`, whose answers are equal
and cost only what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

from twinway.compute.all_services import ServicesMemo, States, all_services
from twinway.compute.endpoints import attached, endpoints
from twinway.model.cluster import Cluster, Node
from twinway.model.difference import unchanged
from twinway.model.net import NodeName, ObjectRef, Rejected
from twinway.model.node import Attachment, NodeState, PolicySetId, PolicyState

Attachments = Mapping[ObjectRef, Attachment]


@dataclass(frozen=True, slots=True)
class Policies:
    """What `compile_policies` answers: the tables, each pod's set, what cannot be used."""

    state: PolicyState
    sets: Mapping[ObjectRef, PolicySetId]
    rejected: tuple[Rejected, ...]


def desired(cluster: Cluster, node: NodeName, attachments: Attachments) -> NodeState:
    """All that `node` should do, with the pods that are attached there, keyed by pod."""
    services, rejected = all_services(cluster, node_of(cluster, node))
    pods = attached(attachments, cluster.pods)
    return _state(cluster, node, (services, rejected), pods, _policies(cluster, node, pods))


def node_of(cluster: Cluster, node: NodeName) -> Node | None:
    """The node's own object, None while it is not known."""
    return cluster.nodes.get(ObjectRef("Node", "", node))


class Memo:
    """`desired`, remembered: for one node, called with one input after the other."""

    def __init__(self) -> None:
        """Nothing is known; the first answer costs as much as `desired`."""
        self._services = ServicesMemo()
        self._policies: tuple[Cluster, NodeName, Attachments, Policies] | None = None

    def desired(self, cluster: Cluster, node: NodeName, attachments: Attachments) -> NodeState:
        """Equal to `desired(cluster, node, attachments)`; what did not change is the same object as before."""
        services, rejected = self._services.update(cluster, node_of(cluster, node))
        pods = attached(attachments, cluster.pods)
        return _state(cluster, node, (services, rejected), pods, self._compiled(cluster, node, pods))

    def _compiled(self, cluster: Cluster, node: NodeName, pods: Attachments) -> Policies:
        known = self._policies
        if known is None or known[1] != node or known[2] != pods or not _same_policy_input(known[0], cluster):
            known = (cluster, node, pods, _policies(cluster, node, pods))
        # The newest snapshot, so that no older one is kept alive.
        self._policies = (cluster, node, pods, known[3])
        return known[3]


def _same_policy_input(old: Cluster, new: Cluster) -> bool:
    kinds = ("pods", "namespaces", "nodes", "policies", "cluster_policies")
    return all(unchanged(getattr(old, kind), getattr(new, kind)) for kind in kinds)


def _policies(cluster: Cluster, node: NodeName, pods: Attachments) -> Policies:
    if find_spec("twinway.compute.policies") is None:
        return Policies(PolicyState(), {}, ())
    return Policies(*import_module("twinway.compute.policies").compile_policies(cluster, node, pods))


def _state(
    cluster: Cluster,
    node: NodeName,
    services: tuple[States, list[Rejected]],
    pods: Attachments,
    policies: Policies,
) -> NodeState:
    here = node_of(cluster, node)
    return NodeState(
        node=node,
        version=cluster.version,
        addresses=here.addresses if here else (),
        services=MappingProxyType(services[0]),
        endpoints=MappingProxyType(endpoints(pods, policies.sets)),
        policy=policies.state,
        rejected=tuple(sorted({*cluster.rejected, *services[1], *policies.rejected})),
    )
