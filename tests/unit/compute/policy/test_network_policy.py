"""NetworkPolicy v1, clause by clause, asked through the compiled tables."""

from __future__ import annotations

import pytest

from tests.unit.compute.sample_clusters import PODS, Sample, pod, policy
from twinway.model.policy import Direction

WEB = "{matchLabels: {app: web}}"
EVERYONE = ("shop/web", "shop/api", "bank/web", "dev/bare", "8.8.8.8", "192.168.0.1")


def test_without_a_policy_a_pod_has_no_set() -> None:
    """No policy, no limit, no entry."""
    sample = Sample()
    assert not any(sample.limited(name) for name in PODS)
    assert (sample.compiled[0].sets, sample.compiled[0].classes) == ({}, {})


def test_only_selected_pods_are_limited() -> None:
    """A policy limits the pods that its selector selects, in its own namespace."""
    sample = Sample(policy("deny", f"{{podSelector: {WEB}}}"))
    assert [name for name in PODS if sample.limited(name)] == ["shop/web"]


def test_the_empty_selector_selects_the_whole_namespace() -> None:
    """All pods of the policy's namespace, and no others."""
    sample = Sample(policy("deny", "{podSelector: {}}"))
    assert [name for name in PODS if sample.limited(name)] == ["shop/web", "shop/api", "shop/db"]


def test_isolation_is_per_direction() -> None:
    """A policy without egress leaves egress as it is; what it does not allow in is denied."""
    sample = Sample(policy("deny", "{podSelector: {}, policyTypes: [Ingress]}"))
    assert not any(sample.ingress("shop/web", peer) for peer in EVERYONE)
    assert all(sample.egress("shop/web", peer) for peer in EVERYONE)


def test_isolation_holds_for_every_protocol() -> None:
    """TCP, UDP, SCTP and what has no ports."""
    sample = Sample(policy("deny", "{podSelector: {}}"))
    assert not any(sample.ingress("shop/web", "shop/api", 80, kind) for kind in ("TCP", "UDP", "SCTP", "ICMP"))


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ("{podSelector: {}}", True, False),
        ("{podSelector: {}, egress: []}", True, False),
        ("{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}", True, True),
        ("{podSelector: {}, policyTypes: [Egress]}", False, True),
        ("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}", False, True),
        ("{podSelector: {}, policyTypes: [Ingress, Egress]}", True, True),
    ],
)
def test_policy_types_default_from_the_rules(spec: str, ingress: bool, egress: bool) -> None:
    """Always Ingress, Egress where there are egress rules; said types say all."""
    sample = Sample(policy("p", spec))
    assert sample.ingress("shop/web", "8.8.8.8") is not ingress
    assert sample.egress("shop/web", "8.8.8.8") is not egress


def test_a_rule_without_peers_and_ports_allows_everything() -> None:
    """`- {}` is every peer, every port, every protocol."""
    sample = Sample(policy("open", "{podSelector: {}, ingress: [{}]}"))
    assert all(sample.ingress("shop/web", peer, 1, kind) for peer in EVERYONE for kind in ("TCP", "SCTP", "ICMP"))


def test_an_empty_list_of_peers_is_no_restriction() -> None:
    """`from: []` is as if it were absent, and so is `ports: []`."""
    sample = Sample(policy("open", "{podSelector: {}, ingress: [{from: [], ports: []}]}"))
    assert all(sample.ingress("shop/web", peer) for peer in EVERYONE)


def test_a_pod_selector_means_pods_of_the_own_namespace() -> None:
    """Without a namespace selector, a pod of another namespace never matches."""
    sample = Sample(policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {WEB}}}]}}]}}"))
    assert sample.ingress("shop/db", "shop/web")
    assert not sample.ingress("shop/db", "bank/web")
    assert not sample.ingress("shop/db", "shop/api")


def test_a_namespace_selector_means_all_pods_there() -> None:
    """Namespaces by label, whatever the pods' own labels."""
    sample = Sample(
        policy("p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}")
    )
    assert sample.ingress("shop/db", "bank/web")
    assert sample.ingress("shop/db", "bank/api")
    assert not sample.ingress("shop/db", "shop/web")


def test_both_selectors_in_one_peer_must_match() -> None:
    """Pods with these labels in namespaces with those."""
    peer = f"{{namespaceSelector: {{matchLabels: {{team: a}}}}, podSelector: {WEB}}}"
    sample = Sample(policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"))
    assert sample.ingress("shop/db", "shop/web")
    assert sample.ingress("shop/db", "dev/web")
    assert not sample.ingress("shop/db", "bank/web")
    assert not sample.ingress("shop/db", "dev/bare")


def test_two_peers_are_alternatives() -> None:
    """A selector in each of two list entries: either is enough."""
    peers = f"[{{namespaceSelector: {{matchLabels: {{team: b}}}}}}, {{podSelector: {WEB}}}]"
    sample = Sample(policy("p", f"{{podSelector: {{}}, ingress: [{{from: {peers}}}]}}"))
    assert sample.ingress("shop/db", "bank/api")
    assert sample.ingress("shop/db", "shop/web")
    assert not sample.ingress("shop/db", "dev/web")


def test_an_empty_namespace_selector_means_every_pod_but_nobody_else() -> None:
    """All pods of the cluster; not the world, not the nodes."""
    sample = Sample(policy("p", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"))
    assert all(sample.ingress("shop/db", name) for name in PODS)
    assert not sample.ingress("shop/db", "8.8.8.8")
    assert not sample.ingress("shop/db", "192.168.0.1")


@pytest.mark.parametrize(
    ("expression", "peers"),
    [
        (
            "{key: app, operator: In, values: [web, api]}",
            {"shop/web", "shop/api", "bank/web", "bank/api", "dev/web"},
        ),
        ("{key: app, operator: NotIn, values: [web, api]}", {"shop/db", "dev/bare"}),
        ("{key: tier, operator: Exists}", {"shop/web", "shop/api", "shop/db"}),
        ("{key: tier, operator: DoesNotExist}", {"bank/web", "bank/api", "dev/web", "dev/bare"}),
    ],
)
def test_expressions_select_as_labels_do(expression: str, peers: set[str]) -> None:
    """In, NotIn (a pod without the label counts), Exists, DoesNotExist."""
    peer = f"{{namespaceSelector: {{}}, podSelector: {{matchExpressions: [{expression}]}}}}"
    sample = Sample(policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{peer}]}}]}}"))
    assert {name for name in PODS if sample.ingress("shop/db", name)} == peers


def test_a_block_holds_any_address() -> None:
    """The world's, a pod's, a node's: whoever has it."""
    sample = Sample(policy("p", "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"))
    assert sample.egress("shop/web", "10.200.0.1")
    assert sample.egress("shop/web", "bank/web")
    assert not sample.egress("shop/web", "192.168.0.1")
    everywhere = Sample(policy("p", "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"))
    assert all(everywhere.egress("shop/web", peer) for peer in EVERYONE)


def test_a_block_is_of_one_family() -> None:
    """0.0.0.0/0 is not ::/0."""
    sample = Sample(policy("p", "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}"))
    assert sample.egress("shop/web", "bank/web")
    assert not sample.egress("shop/web", "bank/web#6")
    assert not sample.egress("shop/web", "2001:db8::1")


def test_exceptions_of_a_block_take_pods_out_too() -> None:
    """`except` cuts out addresses; another block may put some of them back."""
    block = "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.2.0/24, 10.9.0.0/16]}}"
    sample = Sample(
        policy("p", f"{{podSelector: {{}}, egress: [{{to: [{block}, {{ipBlock: {{cidr: 10.0.2.1/32}}}}]}}]}}")
    )
    assert sample.egress("shop/web", "shop/api")
    assert sample.egress("shop/web", "bank/web")
    assert not sample.egress("shop/web", "bank/api")
    assert not sample.egress("shop/web", "10.9.1.1")


def test_pods_match_by_both_their_addresses() -> None:
    """A selector is about pods, so IPv4 and IPv6 alike."""
    sample = Sample(policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {WEB}}}]}}]}}"))
    assert sample.ingress("shop/db", "shop/web")
    assert sample.ingress("shop/db", "shop/web#6")
    assert not sample.ingress("shop/db", "shop/api#6")


def test_a_port_limits_protocol_and_number() -> None:
    """TCP unless said; the same number of another protocol is another port."""
    sample = Sample(policy("p", "{podSelector: {}, ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}]}]}"))
    assert sample.ingress("shop/web", "8.8.8.8", 80, "TCP")
    assert sample.ingress("shop/web", "8.8.8.8", 53, "UDP")
    denied = [(80, "UDP"), (80, "SCTP"), (53, "TCP"), (81, "TCP"), (79, "TCP"), (0, "ICMP")]
    assert not any(sample.ingress("shop/web", "8.8.8.8", *each) for each in denied)


def test_a_protocol_without_a_port_is_all_its_ports() -> None:
    """`{protocol: SCTP}` allows SCTP whole and nothing else."""
    sample = Sample(policy("p", "{podSelector: {}, ingress: [{ports: [{protocol: SCTP}]}]}"))
    assert all(sample.ingress("shop/web", "8.8.8.8", port, "SCTP") for port in (0, 1, 65535))
    assert not sample.ingress("shop/web", "8.8.8.8", 80, "TCP")
    assert not sample.ingress("shop/web", "8.8.8.8", 0, "ICMP")


def test_end_port_makes_a_range_with_both_ends() -> None:
    """From port to endPort, both included."""
    sample = Sample(policy("p", "{podSelector: {}, ingress: [{ports: [{port: 1000, endPort: 2000}]}]}"))
    allowed = [port for port in (999, 1000, 1500, 2000, 2001) if sample.ingress("shop/web", "8.8.8.8", port)]
    assert allowed == [1000, 1500, 2000]


def test_an_ingress_port_name_is_the_selected_pods_own() -> None:
    """Each selected pod resolves the name for itself; one that has no such port allows nothing."""
    sample = Sample(policy("p", "{podSelector: {}, ingress: [{ports: [{port: http}]}]}"))
    assert [port for port in (80, 8080) if sample.ingress("shop/web", "8.8.8.8", port)] == [80]
    assert [port for port in (80, 8080) if sample.ingress("shop/api", "8.8.8.8", port)] == [8080]
    assert [port for port in (80, 8080, 5432) if sample.ingress("shop/db", "8.8.8.8", port)] == []


def test_an_egress_port_name_is_the_peers_own() -> None:
    """Web pods of two namespaces have `http` on different ports."""
    peer = f"{{namespaceSelector: {{}}, podSelector: {WEB}}}"
    sample = Sample(policy("p", f"{{podSelector: {{}}, egress: [{{to: [{peer}], ports: [{{port: http}}]}}]}}"))
    assert sample.egress("shop/db", "shop/web", 80)
    assert not sample.egress("shop/db", "shop/web", 81)
    assert sample.egress("shop/db", "bank/web", 81)
    assert not sample.egress("shop/db", "bank/web", 80)
    assert not sample.egress("shop/db", "shop/api", 8080)


def test_a_port_name_is_of_its_protocol() -> None:
    """`http` over UDP is another port than `http` over TCP."""
    sample = Sample(policy("p", "{podSelector: {}, egress: [{ports: [{port: http, protocol: UDP}]}]}"))
    assert sample.egress("shop/db", "bank/api", 8080, "UDP")
    assert not sample.egress("shop/db", "bank/api", 8080, "TCP")
    assert not sample.egress("shop/db", "shop/api", 8080, "TCP")


def test_a_port_name_means_pods_inside_a_block_too() -> None:
    """An address in the block with a pod that has the name; an address without a pod has no names."""
    block = "{ipBlock: {cidr: 10.0.2.0/24}}"
    sample = Sample(policy("p", f"{{podSelector: {{}}, egress: [{{to: [{block}], ports: [{{port: http}}]}}]}}"))
    assert sample.egress("shop/db", "bank/web", 81)
    assert not sample.egress("shop/db", "shop/web", 80)
    assert not sample.egress("shop/db", "10.0.2.77", 81)


def test_policies_add_up() -> None:
    """What any of the policies allows is allowed; one that selects fewer pods says nothing of the others."""
    sample = Sample(
        policy("one", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"),
        policy("two", f"{{podSelector: {WEB}, ingress: [{{ports: [{{port: 443}}]}}]}}"),
    )
    assert [port for port in (80, 443) if sample.ingress("shop/web", "8.8.8.8", port)] == [80, 443]
    assert [port for port in (80, 443) if sample.ingress("shop/api", "8.8.8.8", port)] == [80]


def test_rules_do_not_mix_peers_and_ports() -> None:
    """The peer of one rule does not get the port of another."""
    rules = f"[{{from: [{{podSelector: {WEB}}}], ports: [{{port: 80}}]}}, {{ports: [{{port: 443}}]}}]"
    sample = Sample(policy("p", f"{{podSelector: {{}}, ingress: {rules}}}"))
    assert sample.ingress("shop/db", "shop/web", 80)
    assert sample.ingress("shop/db", "shop/api", 443)
    assert not sample.ingress("shop/db", "shop/api", 80)


def test_host_network_pods_are_neither_selected_nor_peers() -> None:
    """They are the node: no policy is theirs, and a selector does not reach them."""
    host = pod("shop/host", hostNetwork=True)
    host["metadata"]["labels"] = {"app": "web"}
    host["status"]["podIPs"] = [{"ip": "192.168.0.1"}]
    sample = Sample(
        policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {WEB}}}]}}]}}"), pods=[host]
    )
    assert "host" not in {each.name for each in sample.compiled[1]}
    assert not sample.ingress("shop/db", "192.168.0.1")
    assert sample.ingress("shop/db", "shop/web")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_finished_pods_are_no_peers(phase: str) -> None:
    """Their address may be another pod's by now."""
    done = pod("shop/web")
    done["status"]["phase"] = phase
    new = pod("bank/new")
    new["status"]["podIPs"] = done["status"]["podIPs"]
    sample = Sample(
        policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {WEB}}}]}}]}}"), pods=[done, new]
    )
    assert not sample.ingress("shop/db", "bank/new")


def test_a_terminating_pod_gives_way_to_the_next_owner_of_its_address() -> None:
    """While both are known, the address is the new pod's; until then, the old one's."""
    old = pod("shop/web")
    old["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    new = pod("bank/new")
    new["status"]["podIPs"] = old["status"]["podIPs"]
    rule = policy("p", f"{{podSelector: {{}}, ingress: [{{from: [{{podSelector: {WEB}}}]}}]}}")
    assert Sample(rule, pods=[old]).ingress("shop/db", "shop/web")
    assert not Sample(rule, pods=[old, new]).ingress("shop/db", "shop/web")


def test_every_verdict_names_its_rule() -> None:
    """The rule that allows, the isolation that denies, the default."""
    sample = Sample(
        policy(
            "a", f"{{podSelector: {{}}, ingress: [{{ports: [{{port: 1}}]}}, {{from: [{{podSelector: {WEB}}}]}}]}}"
        ),
        policy("b", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"),
    )
    assert sample.rule("shop/db", Direction.INGRESS, "shop/web") == "NetworkPolicy shop/a: spec.ingress[1]"
    assert sample.rule("shop/db", Direction.INGRESS, "shop/api") == "NetworkPolicy shop/b: spec.ingress[0]"
    assert sample.rule("shop/db", Direction.INGRESS, "shop/api", 81) == "NetworkPolicy shop/a: isolation"
    assert sample.rule("shop/db", Direction.EGRESS, "shop/api") == "Default allow: default"


def test_pods_of_equal_policy_share_a_set() -> None:
    """Two pods under the same rules have one set; other rules, or another port of that name, make another."""
    sample = Sample(policy("p", "{podSelector: {matchLabels: {tier: back}}, ingress: [{ports: [{port: 80}]}]}"))
    assert sample.set_of("shop/api") == sample.set_of("shop/db")
    named = Sample(policy("p", "{podSelector: {}, ingress: [{ports: [{port: http}]}]}"))
    assert len({named.set_of(name) for name in ("shop/web", "shop/api", "shop/db")}) == 3
