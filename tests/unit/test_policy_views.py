"""Policy by name: who selects a pod, what was denied to it, and why a connection would be."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.compute.sample_clusters import NODE, Sample, attachments, policy, wide
from twinway import metrics
from twinway.compute.desired import desired
from twinway.compute.policy.explain import Place, explain
from twinway.compute.policy.plan import ISOLATION, rule_id
from twinway.driver import Denial, Inspection
from twinway.model.node import NodeState, RuleId, RuleRef
from twinway.model.policy import Direction
from twinway.policy_views import connection_of, denials_view, explain_view, policies_view
from twinway.rulebook import KEPT, RuleBook
from twinway.status import Status

TCP = 6
FROM_API = (
    "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}"
)
SHUT = "{podSelector: {}, policyTypes: [Ingress]}"
ADMIN = (
    "{tier: Admin, priority: 7, subject: {namespaces: {}}, egress: "
    "[{name: no-bank, action: Deny, to: [{namespaces: {matchLabels: {team: b}}}]}]}"
)


@pytest.fixture(scope="module")
def state() -> NodeState:
    """A node whose pods are under two NetworkPolicies and a cluster-wide one."""
    sample = Sample(policy("from-api", FROM_API), policy("shut", SHUT), wide("fence", ADMIN))
    return desired(sample.cluster, NODE, attachments(sample.cluster))


def why(state: NodeState, source: str, to: str, port: int = 80) -> list[tuple[str, str, str, str]]:
    """Pod, direction, action and reason of each judgement."""
    judgements = explain(state, ip_address(source), Place(ip_address(to), port), TCP)
    rows = explain_view(state, judgements, state.policy.rules.get)["judgements"]
    return [(row["pod"], row["direction"], row["action"], row["why"]) for row in rows]


def test_policies_by_name(state: NodeState) -> None:
    """Each policy has its pods of this node, its directions, and the rules that are in use."""
    found = {each["policy"]: each for each in policies_view(state)["policies"]}
    assert list(found) == ["ClusterNetworkPolicy fence", "NetworkPolicy shop/from-api", "NetworkPolicy shop/shut"]
    assert found["NetworkPolicy shop/from-api"]["pods"] == ["shop/web"]
    assert found["NetworkPolicy shop/shut"]["pods"] == ["shop/api", "shop/db", "shop/web"]
    assert [each["directions"] for each in found.values()] == [["egress"], ["ingress"], ["ingress"]]
    fence = found["ClusterNetworkPolicy fence"]
    assert (fence["tier"], fence["priority"]) == ("Admin", 7)
    assert [rule["place"] for rule in fence["rules"]] == ["spec.egress[0] (no-bank)"]
    assert found["NetworkPolicy shop/from-api"]["sets"] == [f"{_endpoint(state, 'web'):016x}"]


def _endpoint(state: NodeState, name: str) -> int:
    return next(
        each.policy for ref, each in state.endpoints.items() if (ref.namespace, ref.name) == ("shop", name)
    )


def test_why_a_connection_is_denied_or_allowed(state: NodeState) -> None:
    """Both ends say what decides there; isolation names every policy that isolates."""
    allowed = why(state, "10.0.1.2", "10.0.1.1")
    assert allowed[1] == (
        "shop/web",
        "ingress",
        "allow",
        "allowed by NetworkPolicy shop/from-api, spec.ingress[0]",
    )
    isolated = "isolated for ingress by NetworkPolicy shop/from-api, NetworkPolicy shop/shut; no rule allows it"
    assert why(state, "10.0.1.3", "10.0.1.1")[1] == ("shop/web", "ingress", "deny", isolated)
    denied = "denied by ClusterNetworkPolicy fence, spec.egress[0] (no-bank)"
    assert why(state, "10.0.1.3", "10.0.2.1")[0] == ("shop/db", "egress", "deny", denied)
    assert why(state, "fd00::1:3", "fd00::2:1")[0][2:] == ("deny", denied)


def test_what_no_policy_can_deny(state: NodeState) -> None:
    """A pod to itself and the node to its pods are allowed; strangers to one another are nobody's business."""
    assert [row[2] for row in why(state, "10.0.1.1", "10.0.1.1")] == ["allow", "allow"]
    assert why(state, "192.168.0.1", "10.0.1.1")[0][2] == "allow"
    assert why(state, "10.0.2.1", "8.8.8.8") == [("bank/web", "egress", "allow", "allowed: no policy limits it")]
    assert why(state, "8.8.8.8", "9.9.9.9") == []


def test_denials_by_name(state: NodeState) -> None:
    """A count of the kernel is reported with pod, direction, policies and rule, the largest one first."""
    rules = {ref.place: rule for rule, ref in state.policy.rules.items()}
    denials = (
        Denial(rules["spec.egress[0] (no-bank)"], ip_address("10.0.1.3"), Direction.EGRESS, 3),
        Denial(rules[ISOLATION], ip_address("fd00::1:1"), Direction.INGRESS, 5),
        Denial(RuleId(99), ip_address("10.9.9.9"), Direction.INGRESS, 1),
    )
    first, second, third = denials_view(state, denials, state.policy.rules.get)["denials"]
    assert (first["pod"], first["direction"], first["count"]) == ("shop/web", "ingress", 5)
    assert first["policies"] == ["NetworkPolicy shop/from-api", "NetworkPolicy shop/shut"]
    assert (second["pod"], second["policies"]) == ("shop/db", ["ClusterNetworkPolicy fence"])
    assert (third["pod"], third["address"], third["rule"]) == (None, "10.9.9.9", None)
    assert third["why"] == "denied by a rule that is not in force any more"
    samples = _samples(state, denials)
    assert samples["ClusterNetworkPolicy fence", "spec.egress[0] (no-bank)", "egress", "shop/db"] == 3


def test_series_of_denials_are_bounded(state: NodeState) -> None:
    """With more rows than a scrape should carry, pods are summed up."""
    rule = next(iter(state.policy.rules))
    many = tuple(Denial(rule, ip_address(f"10.7.{n >> 8}.{n & 255}"), Direction.EGRESS, 2) for n in range(1001))
    assert list(_samples(state, many).values()) == [2002]


def _samples(state: NodeState, denials: tuple[Denial, ...]) -> dict[tuple[str, ...], float]:
    status = Status(node="n1", driver="fake", pid=1, state=state)
    text = metrics.exposition(status, Inspection(denials=denials), state.policy.rules.get).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    keys = ("policy", "rule", "direction", "pod")
    return {tuple(each.labels[key] for key in keys): each.value for each in families["twinway_denials"].samples}


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ({"from": "x", "to": "10.0.0.1"}, "from: 'x' is no address"),
        ({"from": "10.0.0.1"}, "to: '' is no address"),
        ({"from": "10.0.0.1", "to": "10.0.0.2", "port": "65536"}, "port: '65536' is no number"),
        ({"from": "10.0.0.1", "to": "10.0.0.2", "protocol": "tcq"}, "protocol: 'tcq' is none of tcp, udp"),
    ],
)
def test_bad_questions(query: dict[str, str], fault: str) -> None:
    """What cannot be asked is reported with its key."""
    with pytest.raises(ValueError, match=fault.replace("(", r"\(")):
        connection_of(query)


def test_names_outlive_their_rules() -> None:
    """A rule that went keeps its name for a while; how many are kept is bounded."""
    book = RuleBook()
    old = RuleRef(next(iter(Sample().cluster.pods)), "spec.ingress[0]")
    book.note({rule_id(old): old})
    book.note({})
    assert book.name(rule_id(old)) == old
    book.note({RuleId(number): old for number in range(1, KEPT + 1)})
    assert book.name(rule_id(old)) is None
