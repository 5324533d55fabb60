"""NetworkPolicies as they are read: good ones in every spelling, bad ones in the sense that allows least."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from tests.unit.documents import Document, having, lacking
from twinway.model.net import Protocol
from twinway.model.policy import (
    Block,
    NetworkPolicy,
    Operator,
    PodPeer,
    PortRange,
    Requirement,
    Rule,
    Selector,
)
from twinway.sources.decode.policy.networkpolicy import decode_network_policy

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
