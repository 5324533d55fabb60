"""Policies as they are read: good ones in every spelling, bad ones in the sense that allows least."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import Document, having, lacking
from twinway.model.net import Protocol
from twinway.model.policy import (
    Block,
    ClusterAction,
    ClusterPolicy,
    ClusterRule,
    NetworkPolicy,
    NodePeer,
    Operator,
    PodPeer,
    PortRange,
    Requirement,
    Rule,
    Selector,
    Tier,
)
from twinway.sources.decode_policy import decode_cluster_policy, decode_network_policy

ALL = Selector()
APP = Selector((Requirement("app", Operator.IN, ("web",)),))
TEAM = Selector((Requirement("team", Operator.EXISTS, ()),))
NOTHING = Rule(peers=(), ports=())

POLICY: Document = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "p", "namespace": "shop"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "web"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": {"matchLabels": {"app": "web"}}},
                    {"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}},
                    {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16", "10.1.0.0/16"]}},
                ],
                "ports": [
                    {"port": 80},
                    {"port": 53, "protocol": "UDP"},
                    {"port": 1000, "endPort": 2000, "protocol": "SCTP"},
                    {"port": "http"},
                    {"protocol": "UDP"},
                ],
            }
        ],
        "egress": [{}],
    },
}


def network(document: Document) -> tuple[NetworkPolicy, list[str]]:
    """The policy, and what is wrong with it."""
    policy, rejected = decode_network_policy(document)
    assert policy is not None
    return policy, [str(each) for each in rejected]


def test_a_network_policy_is_read_whole() -> None:
    """Every kind of peer and port; TCP where no protocol is said, all ports where none is."""
    policy, rejected = network(POLICY)
    assert rejected == []
    assert policy.pods == APP
    assert policy.egress == (Rule(None, None),)
    assert policy.ingress is not None
    assert policy.ingress[0].peers == (
        PodPeer(None, APP),
        PodPeer(TEAM, ALL),
        PodPeer(ALL, APP),
        Block(ip_network("10.0.0.0/8"), (ip_network("10.1.0.0/16"), ip_network("10.2.0.0/16"))),
    )
    assert policy.ingress[0].ports == (
        PortRange(Protocol.TCP, 80, 80),
        PortRange(Protocol.UDP, 53, 53),
        PortRange(Protocol.SCTP, 1000, 2000),
        PortRange(Protocol.TCP, 0, 0, "http"),
        PortRange(Protocol.UDP, 0, 65535),
    )


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        (None, (), None),
        ({}, (), None),
        ({"egress": []}, (), None),
        ({"egress": [{}]}, (), (Rule(None, None),)),
        ({"policyTypes": ["Egress"], "ingress": [{}]}, None, ()),
        ({"policyTypes": [], "egress": None}, (), None),
        ({"podSelector": None, "ingress": [{"from": None, "ports": []}]}, (Rule(None, None),), None),
    ],
)
def test_what_is_absent_or_null_has_the_apis_default(
    spec: Document | None, ingress: tuple[Rule, ...] | None, egress: tuple[Rule, ...] | None
) -> None:
    """Every pod, ingress always, egress where there are rules, no restriction."""
    policy, rejected = network({**POLICY, "spec": spec})
    assert (rejected, policy.pods, policy.ingress, policy.egress) == ([], ALL, ingress, egress)


def test_a_policy_without_a_name_cannot_be_kept() -> None:
    """The only case without any policy."""
    policy, rejected = decode_network_policy(lacking(POLICY, "metadata.name"))
    assert policy is None
    assert [str(each) for each in rejected] == ["NetworkPolicy shop/?: metadata.name: is required"]


def test_a_bad_name_or_label_does_no_harm() -> None:
    """It is reported, and the policy holds."""
    policy, rejected = network(having(POLICY, "metadata.labels", {"a": 1}))
    assert policy.ingress == network(POLICY)[0].ingress
    assert rejected == ["NetworkPolicy shop/p: metadata.labels.a: must be a string, not 1"]


BAD_PEERS: list[tuple[Any, str]] = [
    ({}, "[4]: must have podSelector, namespaceSelector or ipBlock"),
    ({"podSelector": None}, "[4]: must have podSelector, namespaceSelector or ipBlock"),
    (None, "[4]: is required"),
    ("web", "[4]: must be a mapping, not 'web'"),
    ({"podselector": {}}, "[4].podselector: is not a field that is known here; did you mean 'podSelector'?"),
    ({"podSelector": {}, "nodeSelector": {}}, "[4].nodeSelector: is not a field that is known here"),
    (
        {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}},
        "[4]: ipBlock must stand alone, without podSelector and namespaceSelector",
    ),
    ({"ipBlock": {}}, "[4].ipBlock.cidr: is required"),
    (
        {"ipBlock": {"cidr": "10.0.0.0"}},
        "[4].ipBlock.cidr: must be an address block such as 10.0.0.0/8, not '10.0.0.0'",
    ),
    (
        {"ipBlock": {"cidr": "10.0.0.0/33"}},
        "[4].ipBlock.cidr: must be an address block such as 10.0.0.0/8, not '10.0.0.0/33'",
    ),
    ({"ipBlock": {"cidr": 10}}, "[4].ipBlock.cidr: must be a string, not 10"),
    (
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/40"]}},
        "[4].ipBlock.except[0]: must be an address block such as 10.0.0.0/8, not '10.0.0.0/40'",
    ),
    (
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}},
        "[4].ipBlock: except must lie strictly inside 10.0.0.0/8, which 11.0.0.0/16 does not",
    ),
    (
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}},
        "[4].ipBlock: except must lie strictly inside 10.0.0.0/8, which 10.0.0.0/8 does not",
    ),
    (
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["fd00::/64"]}},
        "[4].ipBlock: except must lie strictly inside 10.0.0.0/8, which fd00::/64 does not",
    ),
    ({"ipBlock": {"cidr": "10.0.0.0/8", "excepts": []}}, "[4].ipBlock.excepts: is not a field that is known here"),
    ({"podSelector": {"matchlabels": {}}}, "[4].podSelector.matchlabels: is not a field that is known here"),
    ({"podSelector": {"matchLabels": {"app": 1}}}, "[4].podSelector.matchLabels.app: must be a string, not 1"),
    ({"namespaceSelector": []}, "[4].namespaceSelector: must be a mapping, not []"),
    (
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        "[4].podSelector.matchExpressions[0]: operator In needs at least one of values",
    ),
    (
        {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}},
        "[4].namespaceSelector.matchExpressions[0]: operator must be In, NotIn, Exists or DoesNotExist, not 'Is'",
    ),
    (
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"] * 2000}]}},
        "[4].podSelector: names 2000 labels and values; 1024 at most can be used",
    ),
    (
        {"podSelector": {"matchLabels": {f"key-{number}": "x" for number in range(1025)}}},
        "[4].podSelector: names 1025 labels and values; 1024 at most can be used",
    ),
]


@pytest.mark.parametrize(("peer", "reason"), BAD_PEERS)
def test_a_bad_peer_matches_nothing_and_the_others_stand(peer: Any, reason: str) -> None:
    """By its place in the list; the rule's other peers are as they were."""
    good = network(POLICY)[0].ingress
    policy, rejected = network(
        having(POLICY, "spec.ingress.0.from", [*POLICY["spec"]["ingress"][0]["from"], peer])
    )
    assert policy.ingress == good
    assert len(rejected) == 1
    assert rejected[0].startswith(f"NetworkPolicy shop/p: spec.ingress[0].from{reason}")


@pytest.mark.parametrize(("peer", "_"), BAD_PEERS)
def test_a_rule_of_bad_peers_alone_allows_nobody(peer: Any, _: str) -> None:
    """An empty list would be everybody: what is left of this one is nobody."""
    policy, _rejected = network(having(POLICY, "spec.egress", [{"to": [peer]}]))
    assert policy.egress == (Rule(peers=(), ports=None),)


BAD_PORTS: list[tuple[Any, str]] = [
    ({"port": 0}, ".port: must be a port number, 1 to 65535, not 0"),
    ({"port": 65536}, ".port: must be a port number, 1 to 65535, not 65536"),
    ({"port": 80.5}, ".port: must be a port number, 1 to 65535, not 80.5"),
    ({"port": True}, ".port: must be a port number, 1 to 65535, not True"),
    ({"port": "80"}, ".port: must be lower case letters, digits and single '-', at least one letter, not '80'"),
    ({"port": 80, "protocol": "ICMP"}, ".protocol: must be TCP, UDP or SCTP, not 'ICMP'"),
    ({"port": 80, "protocol": "tcp"}, ".protocol: must be TCP, UDP or SCTP, not 'tcp'"),
    ({"port": 80, "endPort": 79}, ": endPort must be 80 or more, not 79"),
    ({"port": 80, "endPort": 70000}, ".endPort: must be a port number, 1 to 65535, not 70000"),
    ({"port": "http", "endPort": 90}, ": endPort needs a port number as port, not 'http'"),
    ({"endPort": 90}, ": endPort needs a port number as port, not None"),
    ({"ports": 80}, ".ports: is not a field that is known here; did you mean 'port'?"),
    (80, ": must be a mapping, not 80"),
    (None, ": is required"),
]


@pytest.mark.parametrize(("port", "reason"), BAD_PORTS)
def test_a_bad_port_matches_nothing_and_the_others_stand(port: Any, reason: str) -> None:
    """A list of bad ports alone is no port at all."""
    policy, rejected = network(having(POLICY, "spec.egress", [{"ports": [port, {"port": 1}]}, {"ports": [port]}]))
    assert policy.egress == (Rule(None, (PortRange(Protocol.TCP, 1, 1),)), Rule(None, ()))
    assert rejected == [
        f"NetworkPolicy shop/p: spec.egress[0].ports[0]{reason}",
        f"NetworkPolicy shop/p: spec.egress[1].ports[0]{reason}",
    ]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (None, ": is required"),
        ("all", ": must be a mapping, not 'all'"),
        ({"form": [{"podSelector": {}}]}, ".form: is not a field that is known here"),
        ({"to": [{"podSelector": {}}]}, ".to: is not a field that is known here"),
        ({"from": {"podSelector": {}}}, ".from: must be a list, not {'podSelector': {}}"),
        ({"ports": "80"}, ".ports: must be a list, not '80'"),
    ],
)
def test_a_bad_rule_matches_nothing_and_keeps_its_place(rule: Any, reason: str) -> None:
    """A field that is not known may have narrowed it; rules behind it keep their numbers."""
    policy, rejected = network(having(POLICY, "spec.ingress", [rule, {}]))
    assert policy.ingress == (NOTHING, Rule(None, None))
    assert len(rejected) == 1
    assert rejected[0].startswith(f"NetworkPolicy shop/p: spec.ingress[0]{reason}")


@pytest.mark.parametrize(
    "selector",
    [[], "web", {"matchLabels": {"app": ["web"]}}, {"app": "web"}, {"matchExpressions": [{"key": "a"}]}],
)
def test_a_bad_pod_selector_isolates_the_namespace_and_allows_nothing(selector: Any) -> None:
    """For pods that were not meant, its rules would be holes in other policies."""
    policy, rejected = network(having(POLICY, "spec.podSelector", selector))
    assert (policy.pods, policy.ingress, policy.egress) == (ALL, (NOTHING,), (NOTHING,))
    assert rejected[0].startswith("NetworkPolicy shop/p: spec.podSelector")


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        (["Ingres"], "[0]: must be Ingress or Egress, not 'Ingres'"),
        (["Ingress", None], "[1]: must be Ingress or Egress, not None"),
        ("Ingress", ": must be a list, not 'Ingress'"),
    ],
)
def test_bad_policy_types_isolate_both_directions(types: Any, reason: str) -> None:
    """The rules of each stand."""
    policy, rejected = network(having(lacking(POLICY, "spec.egress"), "spec.policyTypes", types))
    assert policy.ingress == network(POLICY)[0].ingress
    assert policy.egress == ()
    assert rejected == [f"NetworkPolicy shop/p: spec.policyTypes{reason}"]


def test_no_default_is_taken_beside_an_unknown_field() -> None:
    """It may be the absent field, misspelt: `podselector`, `policyType`, `egres`."""
    policy, rejected = network({**POLICY, "spec": {"podselector": {}, "ingress": [{}]}})
    assert (policy.pods, policy.ingress, policy.egress) == (ALL, (NOTHING,), ())
    assert rejected == [
        "NetworkPolicy shop/p: spec.podselector: is not a field that is known here; did you mean 'podSelector'?"
    ]
    whole, _ = network(having(POLICY, "spec.extra", 1))
    assert whole == network(POLICY)[0]


def test_a_spec_that_is_no_mapping_isolates_the_namespace() -> None:
    """Nothing can be read of it."""
    policy, rejected = network({**POLICY, "spec": []})
    assert (policy.pods, policy.ingress, policy.egress) == (ALL, (), ())
    assert rejected == ["NetworkPolicy shop/p: spec: must be a mapping, not []"]


def test_rules_that_are_no_list_allow_nothing() -> None:
    """The direction stays isolated."""
    policy, rejected = network(having(POLICY, "spec.ingress", {}))
    assert policy.ingress == ()
    assert rejected == ["NetworkPolicy shop/p: spec.ingress: must be a list, not {}"]


# -- cluster-wide ----------------------------------------------------------------------------------

WIDE: Document = {
    "apiVersion": "policy.networking.k8s.io/v1alpha2",
    "kind": "ClusterNetworkPolicy",
    "metadata": {"name": "p"},
    "spec": {
        "tier": "Admin",
        "priority": 7,
        "subject": {"namespaces": {"matchLabels": {"app": "web"}}},
        "ingress": [
            {"name": "one", "action": "Accept", "from": [{"namespaces": {}}]},
            {"action": "Deny", "from": [{"pods": {"podSelector": {"matchLabels": {"app": "web"}}}}]},
        ],
        "egress": [
            {
                "action": "Pass",
                "to": [
                    {"networks": ["10.0.0.0/8", "fd00::/8"]},
                    {"nodes": {}},
                    {"pods": {"namespaceSelector": {}, "podSelector": {}}},
                ],
                "protocols": [
                    {"tcp": {"destinationPort": {"number": 80}}},
                    {"udp": {"destinationPort": {"range": {"start": 1, "end": 9}}}},
                    {"sctp": {"destinationPort": {"number": 1}}},
                ],
            }
        ],
    },
}
ACCEPT, DENY, PASS = ClusterAction.ACCEPT, ClusterAction.DENY, ClusterAction.PASS
EVERYONE = (Block(ip_network("0.0.0.0/0"), ()), Block(ip_network("::/0"), ()))
DENY_ALL = ClusterRule("", DENY, EVERYONE, None)
ACCEPT_NONE = ClusterRule("", ACCEPT, (), None)


def wide(document: Document) -> tuple[ClusterPolicy, list[str]]:
    """The policy, and what is wrong with it."""
    policy, rejected = decode_cluster_policy(document)
    assert policy is not None
    return policy, [str(each) for each in rejected]


def test_a_cluster_network_policy_is_read_whole() -> None:
    """Every kind of peer and protocol; networks become one peer each."""
    policy, rejected = wide(WIDE)
    assert rejected == []
    assert (policy.tier, policy.priority, policy.subject) == (Tier.ADMIN, 7, PodPeer(APP, ALL))
    assert policy.ingress == (
        ClusterRule("one", ACCEPT, (PodPeer(ALL, ALL),), None),
        ClusterRule("", DENY, (PodPeer(ALL, APP),), None),
    )
    networks = (Block(ip_network("10.0.0.0/8"), ()), Block(ip_network("fd00::/8"), ()))
    ports = (PortRange(Protocol.TCP, 80, 80), PortRange(Protocol.UDP, 1, 9), PortRange(Protocol.SCTP, 1, 1))
    assert policy.egress == (ClusterRule("", PASS, (*networks, NodePeer(ALL), PodPeer(ALL, ALL)), ports),)


def test_named_ports_are_of_any_protocol() -> None:
    """`destinationNamedPort` has no protocol of its own."""
    rule = {"action": "Deny", "to": [{"namespaces": {}}], "protocols": [{"destinationNamedPort": "http"}]}
    policy, rejected = wide(having(WIDE, "spec.egress", [rule]))
    assert (rejected, policy.egress[0].ports) == ([], (PortRange(None, 0, 0, "http"),))


PEER: Document = {"namespaces": {}}
BAD_PARTS: list[tuple[Document, str]] = [
    ({"to": [PEER, {}]}, ".to[1]: must have exactly one of namespaces, pods, nodes, networks, domainNames, but"),
    ({"to": [PEER, {"serviceAccounts": {}}]}, ".to[1].serviceAccounts: is not a field that is known here"),
    ({"to": [PEER, {"domainNames": ["a.com"]}]}, ".to[1].domainNames: is not supported: domain names are not"),
    ({"to": [PEER, {"namespaces": {}, "nodes": {}}]}, ".to[1]: must have exactly one of namespaces, pods, nodes"),
    ({"to": [PEER, {"networks": ["10.0.0.0/40"]}]}, ".to[1].networks[0]: must be an address block such as"),
    ({"to": [{"networks": ["10.0.0.0/8"] * 26}]}, ".to[0].networks: must have 25 entries at most, not 26"),
    ({"to": [{"networks": []}]}, ".to[0]: must have exactly one of"),
    ({"to": [PEER, {"namespaces": {"matchLabels": {"a": 1}}}]}, ".to[1].namespaces.matchLabels.a: must be a"),
    ({"to": [PEER, {"pods": {"namespaceSelector": {}}}]}, ".to[1].pods.podSelector: is required"),
    ({"to": []}, ".to: must have 1 to 25 entries, not 0"),
    ({"to": None}, ".to: must have 1 to 25 entries, not 0"),
    ({"to": [PEER] * 26}, ".to: must have 1 to 25 entries, not 26"),
    ({"to": PEER}, ".to: must be a list, not"),
    ({"protocols": []}, ".protocols: must have 1 to 25 entries, not 0"),
    ({"protocols": [{}]}, ".protocols[0]: must have exactly one of tcp, udp, sctp, destinationNamedPort, but has"),
    ({"protocols": [{"tcp": {}}]}, ".protocols[0].tcp.destinationPort: is required"),
    ({"protocols": [{"icmp": {}}]}, ".protocols[0].icmp: is not a field that is known here"),
    (
        {"protocols": [{"tcp": {"destinationPort": {"number": 0}}}]},
        ".protocols[0].tcp.destinationPort.number: must",
    ),
    (
        {"protocols": [{"tcp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}]},
        ".protocols[0].tcp.destinationPort.range: end must be greater than start, 9, not 9",
    ),
    ({"protocols": [{"destinationNamedPort": "80"}]}, ".protocols[0].destinationNamedPort: must be lower case"),
    (
        {"to": [{"nodes": {}}], "protocols": [{"destinationNamedPort": "http"}]},
        ".protocols: must not name a port: networks and nodes have no named ports",
    ),
    ({"ports": []}, ".ports: is not a field that is known here"),
]


@pytest.mark.parametrize(("part", "reason"), BAD_PARTS)
@pytest.mark.parametrize(("action", "closed"), [("Accept", ACCEPT_NONE), ("Deny", DENY_ALL), ("Pass", DENY_ALL)])
def test_a_bad_part_makes_its_rule_fail_closed(
    part: Document, reason: str, action: str, closed: ClusterRule
) -> None:
    """Accept matches nothing; Deny and Pass deny everything, as the API says; the other rules stand."""
    good = {"action": "Accept", "to": [PEER]}
    policy, rejected = wide(having(WIDE, "spec.egress", [good, {"action": action, "to": [PEER], **part}]))
    assert policy.egress == (ClusterRule("", ACCEPT, (PodPeer(ALL, ALL),), None), closed)
    assert len(rejected) == 1
    assert rejected[0].startswith(f"ClusterNetworkPolicy p: spec.egress[1]{reason}")


@pytest.mark.parametrize("peer", [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}])
def test_ingress_knows_pods_alone(peer: Document) -> None:
    """Networks and nodes are egress peers: as sources they are of a kind that is not known."""
    policy, rejected = wide(having(WIDE, "spec.ingress", [{"action": "Deny", "from": [peer]}]))
    assert policy.ingress == (DENY_ALL,)
    assert rejected[0].startswith(f"ClusterNetworkPolicy p: spec.ingress[0].from[0].{next(iter(peer))}: is not a")


@pytest.mark.parametrize("action", ["Allow", "Log", None, 1])
def test_an_unknown_action_denies_everything(action: Any) -> None:
    """It cannot be told what it would have opened."""
    policy, rejected = wide(having(WIDE, "spec.ingress", [{"action": action, "from": [PEER]}]))
    assert policy.ingress == (DENY_ALL,)
    assert rejected == [
        f"ClusterNetworkPolicy p: spec.ingress[0].action: must be Accept or Deny or Pass, not {action!r}"
    ]


@pytest.mark.parametrize(("action", "closed"), [("Accept", ACCEPT_NONE), ("Deny", DENY_ALL), ("Pass", DENY_ALL)])
def test_rules_beyond_the_limit_fail_closed(action: str, closed: ClusterRule) -> None:
    """25 of them stand; what the others might take away is taken away."""
    rules = [{"action": "Accept", "from": [PEER]}] * 25 + [{"action": action, "from": [PEER]}] * 3
    policy, rejected = wide(having(WIDE, "spec.ingress", rules))
    assert len(policy.ingress) == 26
    assert policy.ingress[25] == closed
    assert rejected == [
        "ClusterNetworkPolicy p: spec.ingress: has 28 rules, 25 at most are used; the others fail closed"
    ]


def test_rules_that_are_no_list_deny_everything() -> None:
    """There may be Deny rules among them."""
    policy, rejected = wide(having(WIDE, "spec.egress", {"action": "Accept"}))
    assert policy.egress == (DENY_ALL,)
    assert rejected == ["ClusterNetworkPolicy p: spec.egress: must be a list, not {'action': 'Accept'}"]


def test_a_bad_rule_name_changes_nothing() -> None:
    """Names are for people."""
    policy, rejected = wide(having(WIDE, "spec.ingress.0.name", "x" * 101))
    assert policy.ingress[0] == ClusterRule("", ACCEPT, (PodPeer(ALL, ALL),), None)
    assert rejected[0].startswith(
        "ClusterNetworkPolicy p: spec.ingress[0].name: must be a string of 100 characters at most"
    )


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("spec.priority", 1001, "spec.priority: must be a whole number, 0 to 1000, not 1001"),
        ("spec.priority", -1, "spec.priority: must be a whole number, 0 to 1000, not -1"),
        ("spec.priority", "7", "spec.priority: must be a whole number, 0 to 1000, not '7'"),
        ("spec.priority", True, "spec.priority: must be a whole number, 0 to 1000, not True"),
        ("spec.priority", None, "spec.priority: is required"),
        ("spec.tier", "Default", "spec.tier: must be Admin or Baseline, not 'Default'"),
        ("spec.tier", None, "spec.tier: is required"),
        ("spec.subject", {}, "spec.subject: must have exactly one of namespaces, pods, but has none"),
        ("spec.subject", None, "spec.subject: is required"),
        ("spec.subject", {"services": {}}, "spec.subject.services: is not a field that is known here"),
        ("spec.subject.namespaces", {"a": 1}, "spec.subject.namespaces.a: is not a field that is known here"),
    ],
)
def test_a_bad_frame_leaves_only_what_denies(path: str, value: Any, reason: str) -> None:
    """Strongest place, widest subject; Accept matches nothing, and what would pass is denied."""
    policy, rejected = wide(having(WIDE, path, value))
    assert rejected == [f"ClusterNetworkPolicy p: {reason}"]
    good = wide(WIDE)[0]
    assert policy.tier is Tier.ADMIN
    assert policy.priority == (0 if "priority" in path else 7)
    assert policy.subject == (PodPeer(ALL, ALL) if "subject" in path else PodPeer(APP, ALL))
    assert [(rule.action, rule.peers) for rule in policy.ingress] == [(ACCEPT, ()), (DENY, good.ingress[1].peers)]
    assert [(rule.action, rule.peers) for rule in policy.egress] == [(DENY, good.egress[0].peers)]


def test_half_a_bad_subject_is_as_wide_as_that_half() -> None:
    """The selector that can be read still counts."""
    pods = {"namespaceSelector": {"matchLabels": {"app": "web"}}, "podSelector": []}
    assert wide(having(WIDE, "spec.subject", {"pods": pods}))[0].subject == PodPeer(APP, ALL)
    pods = {"namespaceSelector": [], "podSelector": {"matchLabels": {"app": "web"}}}
    assert wide(having(WIDE, "spec.subject", {"pods": pods}))[0].subject == PodPeer(ALL, APP)


def test_an_unknown_field_of_spec_leaves_the_rest() -> None:
    """It is reported."""
    policy, rejected = wide(having(WIDE, "spec.egres", []))
    assert policy == wide(WIDE)[0]
    assert rejected == [
        "ClusterNetworkPolicy p: spec.egres: is not a field that is known here; did you mean 'egress'?"
    ]


@pytest.mark.parametrize("spec", [None, []])
def test_without_a_spec_there_is_no_rule_to_hold(spec: Any) -> None:
    """No policy then."""
    policy, rejected = decode_cluster_policy({**WIDE, "spec": spec})
    assert policy is None
    assert [each.field for each in rejected] == ["spec"]


OLD: Document = {
    "apiVersion": "policy.networking.k8s.io/v1alpha1",
    "kind": "AdminNetworkPolicy",
    "metadata": {"name": "default"},
    "spec": {
        "priority": 7,
        "subject": {"pods": {"namespaceSelector": {}, "podSelector": {}}},
        "ingress": [
            {
                "action": "Allow",
                "from": [{"namespaces": {}}],
                "ports": [
                    {"portNumber": {"port": 80}},
                    {"portNumber": {"port": 53, "protocol": "UDP"}},
                    {"portRange": {"start": 1, "end": 9, "protocol": "SCTP"}},
                    {"namedPort": "http"},
                ],
            }
        ],
        "egress": [{"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}]}],
    },
}
BASELINE = lacking({**OLD, "kind": "BaselineAdminNetworkPolicy"}, "spec.priority")


def test_admin_network_policy_is_read_as_the_admin_tier() -> None:
    """Allow is Accept; TCP where no protocol is said."""
    policy, rejected = wide(OLD)
    assert (rejected, policy.tier, policy.priority) == ([], Tier.ADMIN, 7)
    assert policy.ingress == (
        ClusterRule(
            "",
            ACCEPT,
            (PodPeer(ALL, ALL),),
            (
                PortRange(Protocol.TCP, 80, 80),
                PortRange(Protocol.UDP, 53, 53),
                PortRange(Protocol.SCTP, 1, 9),
                PortRange(None, 0, 0, "http"),
            ),
        ),
    )
    assert policy.egress == (ClusterRule("", DENY, (Block(ip_network("10.0.0.0/8"), ()),), None),)


def test_admin_network_policy_may_have_100_rules() -> None:
    """v1alpha1 has another limit than v1alpha2."""
    rules = [{"action": "Allow", "from": [PEER]}] * 100
    assert wide(having(OLD, "spec.ingress", rules))[1] == []
    assert wide(having(OLD, "spec.ingress", rules * 2))[1] == [
        "AdminNetworkPolicy default: spec.ingress: has 200 rules, 100 at most are used; the others fail closed"
    ]


def test_baseline_admin_network_policy_stands_behind_every_priority() -> None:
    """It is the Baseline tier, has no priority and does not pass."""
    policy, rejected = wide(BASELINE)
    assert (rejected, policy.tier, policy.priority) == ([], Tier.BASELINE, 1001)
    policy, rejected = wide(having(BASELINE, "spec.ingress.0.action", "Pass"))
    assert policy.ingress == (DENY_ALL,)
    assert rejected == [
        "BaselineAdminNetworkPolicy default: spec.ingress[0].action: must be Allow or Deny, not 'Pass'"
    ]


def test_baseline_admin_network_policy_is_called_default() -> None:
    """Another name is reported; its rules can be read, and hold."""
    policy, rejected = wide(having(BASELINE, "metadata.name", "other"))
    assert policy.ingress == wide(BASELINE)[0].ingress
    assert rejected == ["BaselineAdminNetworkPolicy other: metadata.name: must be 'default', not 'other'"]


@pytest.mark.parametrize(
    "peer", [{"namespaces": {"sameLabels": ["team"]}}, {"namespaces": {"namespaceSelector": {}}}]
)
def test_peers_of_the_first_v1alpha1_fail_closed(peer: Document) -> None:
    """`sameLabels` and the nested selector were taken out of the API again."""
    policy, rejected = wide(having(OLD, "spec.ingress", [{"action": "Deny", "from": [peer]}]))
    assert policy.ingress == (DENY_ALL,)
    assert "is not a field that is known here" in rejected[0]


FIELDS = [
    *("podSelector", "policyTypes", "ingress", "egress", "from", "to", "ports", "protocols", "port", "endPort"),
    *("ipBlock", "cidr", "except", "matchLabels", "matchExpressions"),
    *("tier", "priority", "subject", "name", "action", "namespaces", "pods", "networks"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.sampled_from(["", "a", "Deny", "10.0.0.0/8", "http"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(spec=JSON, kind=st.sampled_from([POLICY, WIDE, OLD, BASELINE]))
def test_no_document_breaks_a_decoder(spec: Any, kind: Document) -> None:
    """Whatever a spec holds, the answer is a policy or a reason, never an exception."""
    decoder = decode_network_policy if kind is POLICY else decode_cluster_policy
    policy, rejected = decoder({**kind, "spec": spec})
    assert policy is not None or rejected
