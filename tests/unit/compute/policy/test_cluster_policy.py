"""Cluster-wide policies and their tiers, asked through the compiled tables."""

from __future__ import annotations

import pytest

from tests.unit.compute.sample_clusters import PODS, Sample, pod, policy, wide
from twinway.model.policy import Direction

TEAM_B = "{namespaces: {matchLabels: {team: b}}}"
ALL_PODS = "{pods: {namespaceSelector: {}, podSelector: {}}}"
WEB = "{pods: {podSelector: {matchLabels: {app: web}}}}"


def cnp(
    name: str, rules: str, *, tier: str = "Admin", priority: int = 10, subject: str = "{namespaces: {}}"
) -> str:
    """A ClusterNetworkPolicy."""
    return wide(name, f"{{tier: {tier}, priority: {priority}, subject: {subject}, {rules}}}")


def ingress(action: str, *peers: str, protocols: str = "") -> str:
    """An ingress rule."""
    ports = f", protocols: {protocols}" if protocols else ""
    return f"{{action: {action}, from: [{', '.join(peers)}]{ports}}}"


def egress(action: str, *peers: str, protocols: str = "") -> str:
    """An egress rule."""
    return ingress(action, *peers, protocols=protocols).replace("from:", "to:")


def test_rules_mean_what_they_say_and_isolate_nobody() -> None:
    """What no rule matches stays allowed; a policy without rules in a direction says nothing of it."""
    sample = Sample(cnp("deny-b", f"ingress: [{ingress('Deny', TEAM_B)}]"))
    assert not sample.ingress("shop/web", "bank/web")
    assert sample.ingress("shop/web", "shop/api")
    assert sample.ingress("shop/web", "8.8.8.8")
    assert sample.egress("shop/web", "bank/web")


def test_a_policy_without_rules_limits_nobody() -> None:
    """Its subjects have no policy set."""
    sample = Sample(cnp("idle", "ingress: [], egress: []"))
    assert not any(sample.limited(name) for name in PODS)


@pytest.mark.parametrize(
    ("subject", "pods"),
    [
        ("{namespaces: {}}", set(PODS)),
        ("{namespaces: {matchLabels: {team: b}}}", {"bank/web", "bank/api"}),
        ("{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: api}}}}", {"shop/api", "bank/api"}),
        ("{pods: {podSelector: {matchLabels: {app: api}}}}", {"shop/api", "bank/api"}),
        ("{pods: {namespaceSelector: {matchLabels: {env: dev}}, podSelector: {}}}", {"dev/web", "dev/bare"}),
        ("{namespaces: {matchLabels: {kubernetes.io/metadata.name: dev}}}", {"dev/web", "dev/bare"}),
    ],
)
def test_subjects_are_pods_by_two_selectors(subject: str, pods: set[str]) -> None:
    """Namespaces alone, or pods in namespaces; an absent namespace selector is every namespace."""
    sample = Sample(cnp("deny", f"ingress: [{ingress('Deny', TEAM_B)}]", subject=subject))
    assert {name for name in PODS if sample.limited(name)} == pods


def test_the_first_rule_that_matches_decides() -> None:
    """Within a policy, in the order in which they are written."""
    accept, deny = ingress("Accept", WEB), ingress("Deny", "{namespaces: {}}")
    sample = Sample(cnp("p", f"ingress: [{accept}, {deny}]"))
    assert sample.ingress("shop/db", "bank/web")
    assert not sample.ingress("shop/db", "bank/api")
    assert not Sample(cnp("p", f"ingress: [{deny}, {accept}]")).ingress("shop/db", "bank/web")


def test_lower_priority_numbers_are_stronger() -> None:
    """Between policies of a tier, whatever their names."""
    accept, deny = ingress("Accept", WEB), ingress("Deny", WEB)
    strong_accept = Sample(
        cnp("z", f"ingress: [{accept}]", priority=0), cnp("a", f"ingress: [{deny}]", priority=1000)
    )
    strong_deny = Sample(
        cnp("z", f"ingress: [{deny}]", priority=0), cnp("a", f"ingress: [{accept}]", priority=1000)
    )
    assert strong_accept.ingress("shop/db", "shop/web")
    assert not strong_deny.ingress("shop/db", "shop/web")


def test_equal_priorities_stand_by_name() -> None:
    """The API leaves it open; here it is the same everywhere and always."""
    sample = Sample(
        cnp("b", f"ingress: [{ingress('Deny', WEB)}]"), cnp("a", f"ingress: [{ingress('Accept', WEB)}]")
    )
    assert sample.ingress("shop/db", "shop/web")


def test_admin_stands_above_network_policy() -> None:
    """Accept opens what a NetworkPolicy closes, Deny closes what it opens, the rest is its own."""
    sample = Sample(
        cnp("p", f"ingress: [{ingress('Accept', WEB)}, {ingress('Deny', TEAM_B)}]"),
        policy("np", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}"),
    )
    assert sample.ingress("shop/db", "shop/web")
    assert not sample.ingress("shop/db", "bank/api")
    assert not sample.ingress("shop/db", "shop/api")


def test_pass_leaves_the_tier() -> None:
    """Rules behind it in the tier do not count; NetworkPolicy decides, and where none isolates, Baseline."""
    tier = cnp("p", f"ingress: [{ingress('Pass', WEB)}, {ingress('Deny', '{namespaces: {}}')}]", priority=1)
    later = cnp("q", f"ingress: [{ingress('Deny', WEB)}]", priority=2)
    assert Sample(tier, later).ingress("shop/db", "shop/web")
    assert not Sample(tier, later).ingress("shop/db", "shop/api")
    assert not Sample(tier, later, policy("deny", "{podSelector: {}}")).ingress("shop/db", "shop/web")
    base = cnp("b", f"ingress: [{ingress('Deny', WEB)}]", tier="Baseline")
    assert not Sample(tier, later, base).ingress("shop/db", "shop/web")
    assert Sample(base, tier, policy("open", "{podSelector: {}, ingress: [{}]}")).ingress("shop/db", "shop/web")


def test_baseline_is_for_what_no_network_policy_isolates() -> None:
    """Per direction: a pod isolated for ingress alone has the baseline's egress."""
    base = cnp("b", f"ingress: [{ingress('Deny', WEB)}], egress: [{egress('Deny', WEB)}]", tier="Baseline")
    sample = Sample(base, policy("open", "{podSelector: {}, ingress: [{}]}"))
    assert sample.ingress("shop/db", "shop/web")
    assert not sample.egress("shop/db", "shop/web")
    assert not sample.ingress("bank/api", "shop/web")


def test_pass_in_baseline_comes_to_the_default() -> None:
    """Behind the last tier everything is allowed."""
    sample = Sample(
        cnp("b", f"ingress: [{ingress('Pass', WEB)}, {ingress('Deny', '{namespaces: {}}')}]", tier="Baseline")
    )
    assert sample.ingress("shop/db", "shop/web")
    assert not sample.ingress("shop/db", "shop/api")


@pytest.mark.parametrize(
    ("protocols", "allowed"),
    [
        ("[{tcp: {destinationPort: {number: 80}}}]", {("TCP", 80)}),
        ("[{udp: {destinationPort: {number: 80}}}]", {("UDP", 80)}),
        ("[{sctp: {destinationPort: {range: {start: 80, end: 81}}}}]", {("SCTP", 80), ("SCTP", 81)}),
        (
            "[{tcp: {destinationPort: {number: 81}}}, {udp: {destinationPort: {number: 81}}}]",
            {("TCP", 81), ("UDP", 81)},
        ),
        ("", {(kind, port) for kind in ("TCP", "UDP", "SCTP", "ICMP") for port in (80, 81)}),
    ],
)
def test_protocols_limit_a_rule(protocols: str, allowed: set[tuple[str, int]]) -> None:
    """Each entry is one protocol and port; without entries a rule is about ICMP and all else, too."""
    sample = Sample(
        cnp("p", f"ingress: [{ingress('Accept', WEB, protocols=protocols)}]"), policy("np", "{podSelector: {}}")
    )
    found = {
        (kind, port)
        for kind in ("TCP", "UDP", "SCTP", "ICMP")
        for port in (80, 81)
        if sample.ingress("shop/db", "shop/web", port, kind)
    }
    assert found == allowed


def test_parts_of_one_port_go_to_different_rules() -> None:
    """A pass on one port, a deny on a range around it, and the rest below."""
    tcp = "[{{tcp: {{destinationPort: {0}}}}}]"
    rules = ", ".join(
        (
            ingress("Pass", WEB, protocols=tcp.format("{number: 85}")),
            ingress("Deny", WEB, protocols=tcp.format("{range: {start: 80, end: 89}}")),
            ingress("Accept", WEB, protocols=tcp.format("{range: {start: 85, end: 95}}")),
        )
    )
    sample = Sample(
        cnp("p", f"ingress: [{rules}]"), policy("np", "{podSelector: {}, ingress: [{ports: [{port: 85}]}]}")
    )
    allowed = [port for port in range(78, 98) if sample.ingress("shop/db", "shop/web", port)]
    assert allowed == [85, *range(90, 96)]
    assert sample.rule("shop/db", Direction.INGRESS, "shop/web", 85) == "NetworkPolicy shop/np: spec.ingress[0]"
    assert sample.rule("shop/db", Direction.INGRESS, "shop/web", 79) == "NetworkPolicy shop/np: isolation"


def test_named_ports_are_of_the_destination_pod_and_any_protocol() -> None:
    """Ingress: the subject's own; egress: each peer's."""
    named = "[{destinationNamedPort: http}]"
    inwards, outwards = ingress("Deny", WEB, protocols=named), egress("Deny", ALL_PODS, protocols=named)
    sample = Sample(cnp("p", f"ingress: [{inwards}], egress: [{outwards}]"))
    assert not sample.ingress("shop/api", "shop/web", 8080)
    assert sample.ingress("shop/api", "shop/web", 80)
    assert not sample.egress("shop/db", "bank/web", 81)
    assert not sample.egress("shop/db", "bank/api", 8080, "UDP")
    assert sample.egress("shop/db", "bank/api", 8080, "TCP")
    assert sample.egress("shop/db", "bank/web", 80)


def test_networks_hold_any_address() -> None:
    """Pods and nodes included; ICMP, too."""
    sample = Sample(cnp("p", f"egress: [{egress('Deny', '{networks: [10.0.2.0/24, 192.168.0.0/24]}')}]"))
    assert not sample.egress("shop/web", "bank/web")
    assert not sample.egress("shop/web", "bank/web", 0, "ICMP")
    assert not sample.egress("shop/web", "192.168.0.1")
    assert sample.egress("shop/web", "shop/api")
    assert sample.egress("shop/web", "bank/web#6")


def test_nodes_are_their_addresses() -> None:
    """By the nodes' labels, every address of each, and no pod's."""
    sample = Sample(cnp("p", f"egress: [{egress('Deny', '{nodes: {matchLabels: {zone: east}}}')}]"))
    assert not sample.egress("shop/web", "192.168.0.1")
    assert not sample.egress("shop/web", "fd01::1")
    assert sample.egress("shop/web", "192.168.0.2")
    assert sample.egress("shop/web", "shop/api")
    every = Sample(cnp("p", f"egress: [{egress('Deny', '{nodes: {}}')}]"))
    assert not every.egress("shop/web", "192.168.0.2")
    assert every.egress("shop/web", "8.8.8.8")


def test_host_network_pods_are_neither_subject_nor_peer() -> None:
    """A namespace selector does not reach them; a node selector does."""
    host = pod("bank/host", hostNetwork=True)
    host["status"]["podIPs"] = [{"ip": "192.168.0.1"}]
    sample = Sample(cnp("p", f"egress: [{egress('Deny', TEAM_B)}]"), pods=[host])
    assert sample.egress("shop/web", "192.168.0.1")
    assert not sample.egress("shop/web", "bank/web")


def test_the_rules_name_is_part_of_its_place() -> None:
    """So that people find it in what `explain` and flows say."""
    rule = f"{{name: no-b, action: Deny, from: [{TEAM_B}]}}"
    sample = Sample(cnp("p", f"ingress: [{rule}]"))
    assert (
        sample.rule("shop/web", Direction.INGRESS, "bank/web") == "ClusterNetworkPolicy p: spec.ingress[0] (no-b)"
    )
    assert sample.rule("shop/web", Direction.INGRESS, "shop/api") == "Default allow: default"


# -- v1alpha1 --------------------------------------------------------------------------------------


def test_admin_network_policy_is_the_admin_tier() -> None:
    """Its Allow is Accept; it stands by priority among ClusterNetworkPolicies."""
    rule = f"{{action: Allow, from: [{TEAM_B}], ports: [{{portNumber: {{port: 80}}}}]}}"
    anp = wide("anp", f"{{priority: 5, subject: {{namespaces: {{}}}}, ingress: [{rule}]}}", "AdminNetworkPolicy")
    sample = Sample(
        anp, cnp("p", f"ingress: [{ingress('Deny', TEAM_B)}]", priority=6), policy("np", "{podSelector: {}}")
    )
    assert sample.ingress("shop/web", "bank/web", 80)
    assert not sample.ingress("shop/web", "bank/web", 81)
    assert sample.rule("shop/web", Direction.INGRESS, "bank/web") == "AdminNetworkPolicy anp: spec.ingress[0]"


def test_baseline_admin_network_policy_stands_behind_the_baseline_tier() -> None:
    """It has no priority: those that say one come first."""
    spec = "{subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}"
    banp = wide("default", spec, "BaselineAdminNetworkPolicy")
    assert not Sample(banp).ingress("shop/web", "shop/api")
    above = cnp("b", f"ingress: [{ingress('Accept', TEAM_B)}]", tier="Baseline", priority=1000)
    assert Sample(banp, above).ingress("shop/web", "bank/api")
    assert not Sample(banp, above).ingress("shop/web", "shop/api")
    assert Sample(banp, policy("open", "{podSelector: {}, ingress: [{}]}")).ingress("shop/web", "shop/api")


def test_v1alpha1_ports_in_all_three_spellings() -> None:
    """Number, range, name; TCP where no protocol is said."""
    ports = "[{portNumber: {port: 80, protocol: UDP}}, {portRange: {start: 90, end: 92}}, {namedPort: sql}]"
    rule = f"{{action: Deny, from: [{{namespaces: {{}}}}], ports: {ports}}}"
    spec = f"{{priority: 1, subject: {{namespaces: {{}}}}, ingress: [{rule}]}}"
    sample = Sample(wide("p", spec, "AdminNetworkPolicy"))
    denied = {
        (kind, port)
        for kind in ("TCP", "UDP")
        for port in (80, 90, 91, 92, 93, 5432)
        if not sample.ingress("shop/db", "shop/web", port, kind)
    }
    assert denied == {("UDP", 80), ("TCP", 90), ("TCP", 91), ("TCP", 92), ("TCP", 5432)}
