"""
Whether policy allows a connection at one pod, in one direction.

Source: k8s.io/api networking/v1 NetworkPolicy; sigs.k8s.io/network-policy-api v1beta1 and v1alpha1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twinway_conformance.objects import Object
from twinway_conformance.reference.selectors import selects
from twinway_conformance.reference.world import Address, World, container_ports, full_name, labels, node_addresses


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection, as the policy of one pod sees it."""

    direction: str
    """`ingress` or `egress`, from the view of `pod`."""
    pod: Object
    """The pod whose policy judges."""
    peer: Address
    """The address of the other end."""
    protocol: str
    port: int
    """The destination port, in either direction."""


def allowed(world: World, packet: Packet) -> bool:
    """The verdict of all tiers: Admin, then NetworkPolicy, then Baseline. If none decides, it is allowed."""
    admin = _tier(world, packet, "Admin")
    if admin in ("Accept", "Deny"):
        return admin == "Accept"
    isolating = [one for one in world.of_kind("NetworkPolicy") if _isolates(one, packet)]
    if isolating:
        return any(
            _rule_allows(world, one, rule, packet)
            for one in isolating
            for rule in one["spec"].get(packet.direction) or ()
        )
    return _tier(world, packet, "Baseline") != "Deny"


# NetworkPolicy


def _isolates(policy: Object, packet: Packet) -> bool:
    spec = policy["spec"]
    if policy["metadata"]["namespace"] != packet.pod["metadata"]["namespace"]:
        return False
    if not selects(spec.get("podSelector") or {}, labels(packet.pod)):
        return False
    # The API server's default (SetDefaults_NetworkPolicy) has Egress only if there are egress rules. An empty list
    # has none.
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    return packet.direction.capitalize() in types


def _rule_allows(world: World, policy: Object, rule: Object, packet: Packet) -> bool:
    peers = rule.get("from" if packet.direction == "ingress" else "to")
    ports = rule.get("ports")
    space = policy["metadata"]["namespace"]
    return (not peers or any(_peer_is(world, peer, space, packet.peer) for peer in peers)) and (
        not ports or any(_port_is(world, port, packet) for port in ports)
    )


def _peer_is(world: World, peer: Object, space: str, address: Address) -> bool:
    if peer.get("ipBlock"):
        block = peer["ipBlock"]
        return _within(address, block["cidr"]) and not any(
            _within(address, out) for out in block.get("except") or ()
        )
    pod = world.pod_at(address)
    if pod is None:
        return False
    spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    own = pod["metadata"]["namespace"]
    right_space = own == space if spaces is None else selects(spaces, world.namespace_labels(own))
    return right_space and (pods is None or selects(pods, labels(pod)))


def _port_is(world: World, port: Object, packet: Packet) -> bool:
    if port.get("protocol", "TCP") != packet.protocol:
        return False
    wanted: int | str | None = port.get("port")
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return _named(world, wanted, packet, packet.protocol)
    last: int = port.get("endPort", wanted)
    return wanted <= packet.port <= last


def _named(world: World, name: str, packet: Packet, protocol: str | None) -> bool:
    # A port's name is looked up on the pod that the connection goes to.
    pod = packet.pod if packet.direction == "ingress" else world.pod_at(packet.peer)
    return pod is not None and any(
        (own, number) == (name, packet.port) and kind == packet.protocol and protocol in (None, kind)
        for own, kind, number in container_ports(pod)
    )


def _within(address: Address, cidr: str) -> bool:
    network = ipaddress.ip_network(cidr, strict=False)
    return network.version == address.version and address in network


# ClusterNetworkPolicy and its predecessors


def _tier(world: World, packet: Packet, tier: str) -> str | None:
    for _, policy in sorted(_of_tier(world, tier), key=lambda pair: pair[0]):
        if not _pods_selected(world, policy["spec"]["subject"], packet.pod):
            continue
        for rule in policy["spec"].get(packet.direction) or ():
            action = _cluster_rule(world, rule, packet)
            if action:
                return "Accept" if action == "Allow" else action
    return None


def _of_tier(world: World, tier: str) -> list[tuple[int, Object]]:
    found = [
        (one["spec"]["priority"], one)
        for one in world.of_kind("ClusterNetworkPolicy")
        if one["spec"]["tier"] == tier
    ]
    if tier == "Admin":
        return found + [(one["spec"]["priority"], one) for one in world.of_kind("AdminNetworkPolicy")]
    return found + [(0, one) for one in world.of_kind("BaselineAdminNetworkPolicy")]


def _pods_selected(world: World, chosen: Mapping[str, Any], pod: Object) -> bool:
    space = world.namespace_labels(full_name(pod).partition("/")[0])
    if "namespaces" in chosen:
        return selects(chosen["namespaces"], space)
    pods = chosen["pods"]
    return selects(pods["namespaceSelector"], space) and selects(pods["podSelector"], labels(pod))


def _cluster_rule(world: World, rule: Object, packet: Packet) -> str | None:
    """The rule's action if it matches, else None."""
    peers = rule["from" if packet.direction == "ingress" else "to"]
    known = {"namespaces", "pods"} | ({"nodes", "networks"} if packet.direction == "egress" else set())
    if any(not (set(peer) & known) for peer in peers):
        # "Fail closed": an Accept rule matches no traffic, a Deny or Pass rule denies all.
        return None if rule["action"] in ("Accept", "Allow") else "Deny"
    if not any(_cluster_peer(world, peer, packet.peer) for peer in peers):
        return None
    matching = _protocols_match(world, rule, packet)
    return str(rule["action"]) if matching else None


def _cluster_peer(world: World, peer: Object, address: Address) -> bool:
    if "networks" in peer:
        return any(_within(address, cidr) for cidr in peer["networks"])
    if "nodes" in peer:
        return any(
            address in node_addresses(node) and selects(peer["nodes"], labels(node))
            for node in world.of_kind("Node")
        )
    pod = world.pod_at(address)
    return pod is not None and _pods_selected(world, peer, pod)


def _protocols_match(world: World, rule: Object, packet: Packet) -> bool:
    protocols: Sequence[Object] | None = rule.get("protocols")
    ports: Sequence[Object] | None = rule.get("ports")
    if protocols:
        return any(_protocol_is(world, one, packet) for one in protocols)
    return not ports or any(_alpha_port_is(world, one, packet) for one in ports)


def _protocol_is(world: World, one: Object, packet: Packet) -> bool:
    if "destinationNamedPort" in one:
        return _named(world, one["destinationNamedPort"], packet, None)
    wanted = one.get(packet.protocol.lower())
    if wanted is None:
        return False
    port = wanted.get("destinationPort")
    if not port:
        return True
    span = port.get("range") or {"start": port.get("number"), "end": port.get("number")}
    return bool(span["start"] <= packet.port <= span["end"])


def _alpha_port_is(world: World, one: Object, packet: Packet) -> bool:
    if "namedPort" in one:
        return _named(world, one["namedPort"], packet, None)
    span = one.get("portRange") or one["portNumber"]
    if span.get("protocol", "TCP") != packet.protocol:
        return False
    return bool(span.get("start", span.get("port")) <= packet.port <= span.get("end", span.get("port")))
