"""Address classes: who shares one, how many entries there are, and what class 0 is for."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_network

from hypothesis import given, settings

from tests.unit.compute.policy.test_policy_memo import Step, histories
from tests.unit.compute.sample_clusters import NODE, Sample, pod, policy, wide
from twinway.compute.policy.policies import compile_policies
from twinway.model.node import NO_CLASS, ClassId, PolicyState, VerdictEntry
from twinway.model.policy import Direction

WEB = "{matchLabels: {app: web}}"
FROM_WEB = f"{{podSelector: {{}}, ingress: [{{from: [{{namespaceSelector: {{}}, podSelector: {WEB}}}]}}]}}"


def class_of(sample: Sample, place: str) -> ClassId:
    """The class of an address of a pod, or of an address."""
    return sample.tables.class_of(sample.address(place))


def test_addresses_that_the_same_selectors_match_share_a_class() -> None:
    """Whatever else differs: namespace, labels nobody asks about, family."""
    sample = Sample(policy("p", FROM_WEB))
    assert class_of(sample, "shop/web") == class_of(sample, "bank/web#6") == class_of(sample, "dev/web")
    assert class_of(sample, "shop/api") == class_of(sample, "8.8.8.8") == class_of(sample, "2001:db8::1")
    assert class_of(sample, "shop/web") != class_of(sample, "shop/api")


def test_every_address_has_a_class() -> None:
    """The whole of both families is in the table, so class 0 is no address's."""
    sample = Sample(policy("p", FROM_WEB))
    assert {ip_network("0.0.0.0/0"), ip_network("::/0")} <= sample.compiled[0].classes.keys()
    assert NO_CLASS not in sample.compiled[0].classes.values()


def test_only_addresses_that_somebody_asks_about_have_entries() -> None:
    """Two for the families, three web pods with two addresses each."""
    sample = Sample(policy("p", FROM_WEB))
    assert len(sample.compiled[0].classes) == 2 + 3 * 2


def test_blocks_cost_their_networks_and_exceptions() -> None:
    """Once each, however many policies name them; a pod inside costs nothing, unless selectors match it, too."""
    rule = "{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.1.0/24]}}]}"
    one = Sample(policy("p", f"{{podSelector: {{}}, egress: [{rule}]}}"))
    two = Sample(*(policy(name, f"{{podSelector: {{}}, egress: [{rule}]}}") for name in "pq"))
    assert len(one.compiled[0].classes) == len(two.compiled[0].classes) == 2 + 2
    both = Sample(policy("p", f"{{podSelector: {{}}, egress: [{rule}]}}"), policy("q", FROM_WEB))
    assert len(both.compiled[0].classes) == 2 + 2 + 3 * 2
    assert class_of(both, "shop/web") != class_of(both, "bank/web")


def test_an_address_that_is_a_block_has_its_pods_class() -> None:
    """The entry of the pod stands in the place of the block's, and knows the block."""
    block = "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.1.1/32}}]}]}"
    sample = Sample(policy("p", block), policy("q", FROM_WEB))
    assert len(sample.compiled[0].classes) == 2 + 3 * 2
    assert sample.egress("shop/db", "shop/web")
    assert sample.ingress("shop/db", "shop/web")
    assert not sample.egress("shop/db", "bank/web")
    gone = Sample(policy("p", block), policy("q", FROM_WEB), without=["shop/web"])
    assert gone.egress("shop/db", "10.0.1.1")


def test_pods_whose_named_port_differs_are_in_different_classes() -> None:
    """Only among the pods that the rule is about."""
    rule = f"{{to: [{{namespaceSelector: {{}}, podSelector: {WEB}}}], ports: [{{port: http}}]}}"
    sample = Sample(policy("p", f"{{podSelector: {{}}, egress: [{rule}]}}"))
    assert class_of(sample, "shop/web") == class_of(sample, "dev/web") != class_of(sample, "bank/web")
    assert class_of(sample, "shop/api") == class_of(sample, "8.8.8.8")


def test_policies_of_pods_elsewhere_do_not_count() -> None:
    """What limits no pod of this node asks about no address."""
    sample = Sample(policy("p", FROM_WEB, namespace="bank"), without=["bank/web", "bank/api"])
    assert sample.compiled[0] == PolicyState()


def rows(state: PolicyState) -> list[VerdictEntry]:
    """Every entry of the only set."""
    (only,) = state.sets.values()
    return list(only.entries)


def test_a_rule_for_everybody_has_entries_under_class_0_alone() -> None:
    """One for each protocol in a direction without limits, and two where a port is singled out."""
    sample = Sample(policy("p", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"))
    entries = rows(sample.compiled[0])
    assert {entry.address_class for entry in entries} == {NO_CLASS}
    assert Counter(entry.direction for entry in entries) == {Direction.INGRESS: 5, Direction.EGRESS: 4}


def test_class_0_has_what_most_classes_are_reported() -> None:
    """Blocks of everything have their verdict there; only what they leave out is distinguished."""
    world = "{ipBlock: {cidr: 0.0.0.0/0, except: [192.168.0.0/16]}}, {ipBlock: {cidr: '::/0'}}"
    sample = Sample(policy("p", f"{{podSelector: {{}}, egress: [{{to: [{world}]}}]}}"), policy("q", FROM_WEB))
    entries = [entry for entry in rows(sample.compiled[0]) if entry.direction is Direction.EGRESS]
    assert len(set(sample.compiled[0].classes.values())) == 5
    assert {entry.address_class for entry in entries} == {NO_CLASS, class_of(sample, "192.168.0.1")}
    assert len(entries) == 2 * 4


def test_a_host_network_pod_adds_no_entry() -> None:
    """Its address is its node's."""
    host = pod("bank/host", hostNetwork=True)
    host["metadata"]["labels"] = {"app": "web"}
    with_host = Sample(policy("p", FROM_WEB), pods=[host])
    assert with_host.compiled[0].classes == Sample(policy("p", FROM_WEB)).compiled[0].classes


def test_nodes_are_in_the_table_where_a_rule_asks_about_them() -> None:
    """Each address of each node that is meant."""
    rule = "{action: Deny, to: [{nodes: {matchLabels: {zone: east}}}]}"
    sample = Sample(wide("p", f"{{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, egress: [{rule}]}}"))
    assert len(sample.compiled[0].classes) == 2 + 2
    assert class_of(sample, "192.168.0.1") == class_of(sample, "fd01::1") != class_of(sample, "192.168.0.2")


def test_class_ids_are_of_their_content() -> None:
    """The same selectors make the same class in another cluster, with other pods and policies."""
    one, other = Sample(policy("p", FROM_WEB)), Sample(policy("other", FROM_WEB, namespace="bank"))
    assert class_of(one, "shop/web") == class_of(other, "dev/web")


@settings(max_examples=30, deadline=None)
@given(histories())
def test_sets_are_whole_and_as_large_as_the_formula_says(history: list[Step]) -> None:
    """Class 0 is there in both directions, every class covers all, none repeats what class 0 says."""
    state, *_ = compile_policies(history[-1][0], NODE, history[-1][1])
    live = set(state.classes.values())
    for policy_set in state.sets.values():
        for direction in Direction:
            said: dict[ClassId, list[tuple[object, ...]]] = {}
            for entry in policy_set.entries:
                if entry.direction is direction:
                    row = (entry.protocol, entry.port, entry.bits, entry.verdict)
                    said.setdefault(entry.address_class, []).append(row)
            default = said.pop(NO_CLASS)
            assert said.keys() <= live
            for rows in (default, *said.values()):
                assert {row[0] for row in rows if row[1:3] == (0, 0)} == {0, 6, 17, 132}
            assert default not in said.values()
            # No other verdicts would save more under class 0.
            counts = Counter(tuple(rows) for rows in said.values())
            counts[tuple(default)] = len(live) - len(said)
            saved = {rows: (count - 1) * len(rows) for rows, count in counts.items()}
            assert saved[tuple(default)] == max(saved.values())
