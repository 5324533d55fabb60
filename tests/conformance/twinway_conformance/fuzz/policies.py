"""Random NetworkPolicies and ClusterNetworkPolicies."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from twinway_conformance import cast, policies
from twinway_conformance.fuzz import words
from twinway_conformance.fuzz.words import POD_LABELS, SPACE_LABELS, selector
from twinway_conformance.objects import Object

_NAMES = ("one", "two", "three", "four", "five")
_NUMBERS = (80, 81, 82, 83, 84)


def network_policies(random: Random, families: Sequence[int]) -> list[Object]:
    """A few NetworkPolicies."""
    return [_policy(random, name, families) for name in _NAMES if random.random() < 0.6]


def cluster_policies(random: Random, families: Sequence[int]) -> list[Object]:
    """In half of the cases, some ClusterNetworkPolicies; no two of a tier have the same priority."""
    if random.random() < 0.5:
        return []
    made = []
    for index, name in enumerate(_NAMES[: random.randint(1, 3)]):
        tier = random.choice(("Admin", "Baseline"))
        rules = {
            way: [_verdict(random, way, families) for _ in range(random.randint(1, 3))]
            for way in ("ingress", "egress")
            if random.random() < 0.7
        }
        made.append(
            policies.cluster_policy(name, tier, 10 * index + random.randint(0, 9), _chosen(random), **rules)
        )
    return made


def _policy(random: Random, name: str, families: Sequence[int]) -> Object:
    space = random.choice(list(cast.NAMESPACES))
    rules = {}
    for way, peers in (("ingress", "from"), ("egress", "to")):
        if random.random() < 0.6:
            rules[way] = [_rule(random, peers, families) for _ in range(random.randint(0, 2))]
    types = random.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"], None))
    made = policies.policy(
        f"{space}/{name}",
        selector(random, POD_LABELS),
        ingress=rules.get("ingress"),
        egress=rules.get("egress"),
        types=types or ["Ingress"],
    )
    return made if types else policies.without_types(made)


def _rule(random: Random, way: str, families: Sequence[int]) -> Object:
    rule: Object = {}
    if random.random() < 0.8:
        rule[way] = [_peer(random, families) for _ in range(random.randint(0, 2))]
    if random.random() < 0.5:
        rule["ports"] = [_port(random) for _ in range(random.randint(0, 2))]
    return rule


def _peer(random: Random, families: Sequence[int]) -> Object:
    match random.choice(("block", "pods", "spaces", "both")):
        case "block":
            return {"ipBlock": words.block(random, families)}
        case "pods":
            return policies.pods(selector(random, POD_LABELS))
        case "spaces":
            return policies.namespaces(selector(random, SPACE_LABELS))
        case _:
            return policies.pods(selector(random, POD_LABELS), selector(random, SPACE_LABELS))


def _port(random: Random) -> Object:
    match random.choice(("number", "range", "name", "protocol")):
        case "number":
            return random.choice(({"port": random.choice(_NUMBERS)}, policies.open_port(53, "UDP")))
        case "range":
            first = random.choice((1, 80, 81, 82))
            return policies.open_port(first, "TCP", first + random.choice((0, 1, 3, 1000)))
        case "name":
            return policies.open_port(
                *random.choice((("own", "TCP"), ("web", "TCP"), ("dns", "UDP"), ("dns", "TCP")))
            )
        case _:
            return {"protocol": random.choice(("TCP", "UDP"))}


def _chosen(random: Random) -> Object:
    spaces = selector(random, SPACE_LABELS)
    return policies.chosen(spaces, selector(random, POD_LABELS) if random.random() < 0.6 else None)


def _verdict(random: Random, way: str, families: Sequence[int]) -> Object:
    action = random.choice(("Accept", "Deny", "Pass"))
    peers = [_cluster_peer(random, way, families) for _ in range(random.randint(1, 2))]
    outwards = way == "egress"
    aimed = any({"networks", "nodes"} & set(peer) for peer in peers)
    protocols = (
        [_protocol(random, named=not aimed) for _ in range(random.randint(1, 2))]
        if random.random() < 0.5
        else None
    )
    return policies.verdict(action, "to" if outwards else "from", *peers, protocols=protocols)


def _cluster_peer(random: Random, way: str, families: Sequence[int]) -> Object:
    if way == "egress" and random.random() < 0.3:
        if random.random() < 0.5:
            return {"networks": [words.cidr(random, families) for _ in range(random.randint(1, 2))]}
        return {"nodes": selector(random, {"zone": tuple(cast.NODES)})}
    return _chosen(random)


def _protocol(random: Random, *, named: bool) -> Object:
    match random.choice(("tcp", "udp", "range", "name" if named else "tcp")):
        case "tcp":
            return policies.transport("tcp", random.choice((80, 82)))
        case "udp":
            return policies.transport("udp", random.choice((53, 54)))
        case "range":
            return policies.transport("tcp", random.choice((1, 80)), random.choice((81, 1000, 65535)))
        case _:
            return {"destinationNamedPort": random.choice(("own", "web", "dns"))}
