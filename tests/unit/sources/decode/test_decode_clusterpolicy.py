"""Cluster-wide policies as they are read: what is bad in them fails closed."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from tests.unit.documents import Document, having, lacking
from twinway.model.net import Protocol
from twinway.model.policy import (
    Block,
    ClusterAction,
    ClusterPolicy,
    ClusterRule,
    NodePeer,
    Operator,
    PodPeer,
    PortRange,
    Requirement,
    Selector,
    Tier,
)
from twinway.sources.decode.policy.clusterpolicy import decode_cluster_policy

ALL = Selector()
APP = Selector((Requirement("app", Operator.IN, ("web",)),))

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
    """It is not known what it would have opened."""
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
