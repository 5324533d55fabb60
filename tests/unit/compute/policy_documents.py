"""
Random policies, pods and namespaces as Kubernetes documents, for laws by Hypothesis.

Labels, ports and names are few, so that selectors meet pods and rules meet each other. All documents
are good ones: what is wrong with bad ones is reported in the decoders' own tests.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]

NAMESPACES = ("blue", "red")
NODES = {"n1": ("192.168.0.1", "fd01::1"), "n2": ("192.168.0.2", "fd01::2")}
PODS = {
    f"{namespace}/{name}": number
    for number, (namespace, name) in enumerate(
        [(namespace, name) for namespace in NAMESPACES for name in "abc"], start=1
    )
}
"""Pods by name, with the number at the end of their addresses."""
PORTS = (1, 79, 80, 81, 443, 8080)
"""Ports that rules and containers use, and neighbours of these."""
STRANGERS = ("8.8.8.8", "10.0.0.77", "fd00::77", "2001:db8::1")

LABELS = st.sampled_from([{}, {"app": "x"}, {"app": "y"}, {"app": "x", "tier": "x"}, {"tier": "y"}])
SELECTORS = st.sampled_from(
    [
        {},
        {"matchLabels": {"app": "x"}},
        {"matchLabels": {"app": "x", "tier": "x"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "y"]}]},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["x"]}]},
        {"matchExpressions": [{"key": "tier", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
    ]
)
BLOCKS = ("0.0.0.0/0", "::/0", "10.0.0.0/24", "10.0.0.0/29", "10.0.0.3/32", "fd00::/64", "192.168.0.0/16")
EXCEPTIONS = {
    "0.0.0.0/0": ["10.0.0.0/30", "192.168.0.1/32"],
    "10.0.0.0/24": ["10.0.0.2/32", "10.0.0.4/30"],
    "fd00::/64": ["fd00::4/126"],
}
CONTAINER_PORTS = st.lists(
    st.sampled_from([("http", "TCP", 80), ("http", "TCP", 8080), ("http", "UDP", 80), ("web", "TCP", 443)]),
    max_size=2,
    unique_by=lambda port: port[0],
)


def namespaces(name: str) -> st.SearchStrategy[Document]:
    """A namespace of this name."""
    return LABELS.map(lambda labels: _document("v1", "Namespace", name, labels=labels))


@st.composite
def pods(draw: st.DrawFn, name: str) -> Document:
    """A pod of this name, on some node, perhaps on the node's network, perhaps finished."""
    namespace, _, short = name.partition("/")
    node = draw(st.sampled_from(["n1", "n1", "n2"]))
    on_host = draw(st.sampled_from([False] * 5 + [True]))
    number = PODS[name]
    addresses = NODES[node] if on_host else (f"10.0.0.{number}", f"fd00::{number}")
    ports = [
        {"name": port, "protocol": protocol, "containerPort": value}
        for port, protocol, value in draw(CONTAINER_PORTS)
    ]
    document = _document("v1", "Pod", short, namespace, draw(LABELS))
    document["spec"] = {"nodeName": node, "hostNetwork": on_host, "containers": [{"name": "c", "ports": ports}]}
    phase = draw(st.sampled_from(["Running"] * 5 + ["Succeeded"]))
    document["status"] = {"phase": phase, "podIPs": [{"ip": address} for address in addresses]}
    return document


def node(name: str, labels: dict[str, str]) -> Document:
    """A node of this name."""
    document = _document("v1", "Node", name, labels=labels)
    document["status"] = {"addresses": [{"type": "InternalIP", "address": each} for each in NODES[name]]}
    return document


def nodes(name: str) -> st.SearchStrategy[Document]:
    """A node of this name."""
    return LABELS.map(lambda labels: node(name, labels))


# -- NetworkPolicy ---------------------------------------------------------------------------------


@st.composite
def blocks(draw: st.DrawFn) -> Document:
    """A block, perhaps with exceptions."""
    cidr = draw(st.sampled_from(BLOCKS))
    return {"cidr": cidr, "except": draw(st.sampled_from([[], EXCEPTIONS.get(cidr, [])]))}


PEERS = st.one_of(
    st.fixed_dictionaries({"podSelector": SELECTORS}),
    st.fixed_dictionaries({"namespaceSelector": SELECTORS}),
    st.fixed_dictionaries({"namespaceSelector": SELECTORS, "podSelector": SELECTORS}),
    st.fixed_dictionaries({"ipBlock": blocks()}),
)
POLICY_PORTS = st.sampled_from(
    [
        {"port": 80},
        {"port": 80, "protocol": "UDP"},
        {"port": 80, "endPort": 443},
        {"port": 1, "endPort": 65535, "protocol": "SCTP"},
        {"protocol": "UDP"},
        {"port": "http"},
        {"port": "http", "protocol": "UDP"},
        {"port": "web", "protocol": "TCP"},
    ]
)


def _rules(peers: str) -> st.SearchStrategy[list[Document]]:
    rule = st.fixed_dictionaries(
        {}, optional={peers: st.lists(PEERS, max_size=2), "ports": st.lists(POLICY_PORTS, max_size=2)}
    )
    return st.lists(rule, max_size=2)


@st.composite
def network_policies(draw: st.DrawFn, name: str) -> Document:
    """A NetworkPolicy of this name."""
    namespace, _, short = name.partition("/")
    document = _document("networking.k8s.io/v1", "NetworkPolicy", short, namespace)
    document["spec"] = {
        "podSelector": draw(SELECTORS),
        "policyTypes": draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]])),
        "ingress": draw(_rules("from")),
        "egress": draw(_rules("to")),
    }
    return document


# -- cluster-wide policies -------------------------------------------------------------------------

SUBJECTS = st.one_of(
    st.fixed_dictionaries({"namespaces": SELECTORS}),
    st.fixed_dictionaries(
        {"pods": st.fixed_dictionaries({"namespaceSelector": SELECTORS, "podSelector": SELECTORS})}
    ),
)
NETWORKS = st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=2, unique=True)
PLACES = st.one_of(st.fixed_dictionaries({"networks": NETWORKS}), st.fixed_dictionaries({"nodes": SELECTORS}))


def _port(protocol: str, **port: Any) -> Document:
    return {protocol: {"destinationPort": port}}


PROTOCOLS = st.sampled_from(
    [
        _port("tcp", number=80),
        _port("udp", number=80),
        _port("tcp", range={"start": 80, "end": 443}),
        _port("sctp", range={"start": 1, "end": 65535}),
    ]
)
NAMED = st.sampled_from([{"destinationNamedPort": "http"}, {"destinationNamedPort": "web"}])


@st.composite
def _cluster_rules(draw: st.DrawFn, peers: str) -> Document:
    action = draw(st.sampled_from(["Accept", "Deny", "Pass"]))
    # Names of ports are for pods alone, the API says.
    named = draw(st.booleans())
    peer = SUBJECTS if named or peers == "from" else st.one_of(SUBJECTS, PLACES)
    protocols = draw(st.lists(st.one_of(PROTOCOLS, NAMED) if named else PROTOCOLS, max_size=2))
    rule = {"action": action, peers: draw(st.lists(peer, min_size=1, max_size=2))}
    return {**rule, "protocols": protocols} if protocols else rule


@st.composite
def cluster_policies(draw: st.DrawFn, name: str, priority: int) -> Document:
    """A ClusterNetworkPolicy of this name and priority."""
    document = _document("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", name)
    document["spec"] = {
        "tier": draw(st.sampled_from(["Admin", "Baseline"])),
        "priority": priority,
        "subject": draw(SUBJECTS),
        "ingress": draw(st.lists(_cluster_rules("from"), max_size=2)),
        "egress": draw(st.lists(_cluster_rules("to"), max_size=2)),
    }
    return document


SLOTS: dict[str, st.SearchStrategy[Document]] = {
    **{f"Namespace {name}": namespaces(name) for name in NAMESPACES},
    **{f"Node {name}": nodes(name) for name in NODES},
    **{f"Pod {name}": pods(name) for name in PODS},
    **{
        f"NetworkPolicy {space}/{name}": network_policies(f"{space}/{name}")
        for space in NAMESPACES
        for name in "pq"
    },
    **{f"ClusterNetworkPolicy {name}": cluster_policies(name, number) for number, name in enumerate("uvw")},
}
"""The objects that a cluster may have, each by a strategy of its contents."""


def _document(
    version: str, kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None
) -> Document:
    metadata: Document = {"name": name, "labels": labels or {}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
