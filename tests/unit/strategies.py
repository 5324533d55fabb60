"""
Random clusters and their histories, for laws by Hypothesis.

Names, addresses and ports are few, so that objects meet: Services that want one address, endpoints
in two slices, pods that lose what a Service selected. All that is drawn could come from a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import product
from typing import Any, TypeVar

from hypothesis import strategies as st

from twinway.model.cluster import (
    Cluster,
    ContainerPort,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    Service,
    ServicePort,
    SliceEndpoint,
    SlicePort,
)
from twinway.model.net import Family, IPAddress, NodeName, NotServed, ObjectRef, Protocol
from twinway.model.node import Attachment

T = TypeVar("T")

NAMESPACES = ("blue", "red")
NAMES = ("a", "b", "c")
NODES = (NodeName("n1"), NodeName("n2"))

# Each object is put together of a few parts that are drawn whole: fewer draws, faster laws.
LABELS = st.sampled_from([{}, {"app": "x"}, {"app": "y"}, {"app": "x", "tier": "x"}, {"tier": "y"}])
PROTOCOLS = (Protocol.TCP, Protocol.UDP)
PORT_NAMES = ("http", "raw")


def addresses(v4: str, v6: str, numbers: range) -> st.SearchStrategy[tuple[IPAddress, ...]]:
    """No address, one, or one of each family in either order; they end in one of `numbers`."""
    fours = [ip_address(f"{v4}{number}") for number in numbers]
    sixes = [ip_address(f"{v6}{number}") for number in numbers]
    pairs = [pair for four in fours for six in sixes for pair in ((four, six), (six, four))]
    return st.sampled_from([(), *((each,) for each in fours + sixes), *pairs])


CLUSTER_ADDRESSES = addresses("10.96.0.", "fd96::", range(1, 4))
POD_ADDRESSES = addresses("10.0.0.", "fd00::", range(1, 6))
NODE_ADDRESSES = addresses("192.168.0.", "fd01::", range(1, 3))


def refs(kind: str) -> st.SearchStrategy[ObjectRef]:
    """Names of objects of a kind that has namespaces."""
    return st.sampled_from([ObjectRef(kind, namespace, name) for namespace in NAMESPACES for name in NAMES])


def port_lists(ports: Iterable[T]) -> st.SearchStrategy[tuple[T, ...]]:
    """One port, or two that differ in name."""
    every = list(ports)
    pairs = [(one, other) for one in every for other in every if _name(one) < _name(other)]
    return st.sampled_from([*((each,) for each in every), *pairs])


def _name(port: Any) -> str:
    return str(port.name)


SERVICE_PORTS = [
    ServicePort(name, protocol, port, target)
    for name in PORT_NAMES
    for protocol in PROTOCOLS
    for port in ((80, 81) if name == "http" else (82, 83))
    for target in (8080, name)
]
SLICE_PORTS = [
    SlicePort(name, protocol, port) for name in PORT_NAMES for protocol in PROTOCOLS for port in (8080, 8081)
]
CONTAINER_PORTS = [ContainerPort(each.name, each.protocol, each.port) for each in SLICE_PORTS]


NOTE = NotServed(ObjectRef("Service", "blue", "a"), "spec.externalIPs", "nothing answers there")


def services() -> st.SearchStrategy[Service]:
    """A Service; without addresses it is headless."""
    return st.builds(
        Service,
        ref=refs("Service"),
        type=st.just("ClusterIP"),
        cluster_ips=CLUSTER_ADDRESSES,
        ports=port_lists(SERVICE_PORTS),
        selector=LABELS.map(lambda labels: tuple(sorted(labels.items()))),
        publish_not_ready=st.booleans(),
        internal_local=st.sampled_from([False, False, True]),
        not_served=st.sampled_from([(), (), (NOTE,)]),
    )


ENDPOINTS = {
    family: [
        SliceEndpoint(ip_address(f"{start}{number}"), ready, serving, terminating, node, None)
        for number in range(1, 6)
        for ready, serving, terminating in product((True, False), (True, False), (True, False))
        for node in (None, *NODES)
    ]
    for family, start in ((Family.V4, "10.0.0."), (Family.V6, "fd00::"))
}
"""Endpoints in every condition, also in those that no controller writes."""


def slices() -> st.SearchStrategy[EndpointSlice]:
    """A slice of some Service; ports need not be those of the Service."""
    return st.one_of([_slices(family) for family in Family])


def _slices(family: Family) -> st.SearchStrategy[EndpointSlice]:
    return st.builds(
        EndpointSlice,
        ref=refs("EndpointSlice"),
        service=refs("Service"),
        family=st.just(family),
        ports=port_lists(SLICE_PORTS) | st.just(()),
        endpoints=st.lists(st.sampled_from(ENDPOINTS[family]), max_size=4).map(tuple),
    )


def pods() -> st.SearchStrategy[Pod]:
    """A pod, placed or not, with addresses or without, in any condition."""
    return st.builds(
        Pod,
        ref=refs("Pod"),
        uid=st.just(""),
        labels=LABELS,
        annotations=st.just({}),
        node=st.sampled_from([None, *NODES]),
        addresses=POD_ADDRESSES,
        ports=port_lists(CONTAINER_PORTS) | st.just(()),
        host_network=st.booleans(),
        ready=st.booleans(),
        terminating=st.booleans(),
        finished=st.booleans(),
    )


def namespaces() -> st.SearchStrategy[Namespace]:
    """A namespace with labels."""
    return st.builds(Namespace, st.sampled_from([ObjectRef("Namespace", "", name) for name in NAMESPACES]), LABELS)


def nodes() -> st.SearchStrategy[Node]:
    """A node of one family, of both, or with no address yet."""
    return st.builds(
        Node, st.sampled_from([ObjectRef("Node", "", name) for name in NODES]), LABELS, NODE_ADDRESSES, st.just(())
    )


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a cluster: an object that comes or is replaced, or one that goes."""

    field: str
    """The mapping of `Cluster` it is in."""
    ref: ObjectRef
    value: Any
    """None for an object that goes; it need not have been there."""


def edits() -> st.SearchStrategy[Edit]:
    """Changes of all kinds of objects; half as many go as come."""
    kinds: Mapping[str, st.SearchStrategy[Any]] = {
        "services": services(),
        "slices": slices(),
        "pods": pods(),
        "namespaces": namespaces(),
        "nodes": nodes(),
    }
    come = [st.builds(_coming, st.just(field), values) for field, values in kinds.items()]
    gone = [st.builds(_going, edit) for edit in come]
    return st.one_of(*come, *come, *gone)


def _coming(field: str, value: Any) -> Edit:
    return Edit(field, value.ref, value)


def _going(edit: Edit) -> Edit:
    return replace(edit, value=None)


def edited(cluster: Cluster, edit: Edit, version: str) -> Cluster:
    """The cluster after the change; all that did not change is the same object."""
    mapping = dict(getattr(cluster, edit.field))
    if edit.value is None:
        mapping.pop(edit.ref, None)
    else:
        mapping[edit.ref] = edit.value
    changed: dict[str, Any] = {edit.field: mapping}
    return replace(cluster, version=version, **changed)


@st.composite
def histories(draw: st.DrawFn, longest: int = 10) -> list[Cluster]:
    """Clusters that follow one another: the first of up to 20 objects, then one change at a time."""
    cluster = Cluster("0")
    for edit in draw(st.lists(edits(), max_size=20)):
        cluster = edited(cluster, edit, "0")
    history = [cluster]
    for number, edit in enumerate(draw(st.lists(edits(), max_size=longest)), start=1):
        history.append(edited(history[-1], edit, str(number)))
    return history


def clusters() -> st.SearchStrategy[Cluster]:
    """Clusters of up to 20 objects."""
    return histories(longest=0).map(lambda history: history[0])


def attachments_of(cluster: Cluster, node: NodeName) -> dict[ObjectRef, Attachment]:
    """What CNI would have reported on this node: its pods that have addresses."""
    return {
        pod.ref: Attachment(pod.ref, f"id-{pod.ref.name}", f"/run/netns/{pod.ref.name}", "eth0", pod.addresses)
        for pod in cluster.pods.values()
        if pod.node == node and pod.addresses and not pod.host_network
    }
