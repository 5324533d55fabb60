"""
What a node should do, from what the cluster says: pure, sorted, the same on every run.

`desired` from scratch is the specification. What an agent runs is a `Memo`, whose answers are equal
and cost only what changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from twinway.compute.endpoints import endpoints, known
from twinway.compute.policy.policies import Compiled, PolicyMemo, compile_policies
from twinway.compute.services.all_services import Served, ServicesMemo, all_services
from twinway.model.cluster import Cluster, Node
from twinway.model.net import NodeName, NotServed, ObjectRef
from twinway.model.node import Attachment, NodeState

Attachments = Mapping[ObjectRef, Attachment]


def desired(cluster: Cluster, node: NodeName, attachments: Attachments) -> NodeState:
    """All that `node` should do, with the pods that are attached there, keyed by pod."""
    here = _node(cluster, node)
    policies = compile_policies(cluster, node, known(attachments, cluster.pods))
    return _state(cluster, node, attachments, all_services(cluster, here), policies)


class Memo:
    """`desired`, remembered: for one node, called with one input after the other."""

    def __init__(self) -> None:
        """Nothing is known; the first answer costs as much as `desired`."""
        self._services = ServicesMemo()
        self._policies = PolicyMemo()

    def desired(self, cluster: Cluster, node: NodeName, attachments: Attachments) -> NodeState:
        """Equal to `desired(cluster, node, attachments)`; what did not change is the same object as before."""
        services = self._services.update(cluster, _node(cluster, node))
        policies = self._policies.compile(cluster, node, known(attachments, cluster.pods))
        return _state(cluster, node, attachments, services, policies)


def _node(cluster: Cluster, name: NodeName) -> Node:
    return cluster.nodes.get(ObjectRef("Node", "", name)) or _unknown(name)


@lru_cache(maxsize=64)  # the same object each time, as a node that does not change
def _unknown(name: NodeName) -> Node:
    return Node(ObjectRef("Node", "", name), MappingProxyType({}), (), ())


def _state(
    cluster: Cluster, node: NodeName, attachments: Attachments, services: Served, policies: Compiled
) -> NodeState:
    state, sets, selecting, rejected = policies
    return NodeState(
        node=node,
        version=cluster.version,
        addresses=_node(cluster, node).addresses,
        services=MappingProxyType(services.states),
        endpoints=MappingProxyType(endpoints(attachments, cluster.pods, sets, selecting)),
        policy=state,
        rejected=tuple(sorted({*cluster.rejected, *services.rejected, *rejected})),
        not_served=tuple(sorted((*services.not_served, *_of_pods(cluster, attachments)))),
    )


def _of_pods(cluster: Cluster, attachments: Attachments) -> Iterator[NotServed]:
    for ref in attachments:
        pod = cluster.pods.get(ref)
        yield from pod.not_served if pod else ()
