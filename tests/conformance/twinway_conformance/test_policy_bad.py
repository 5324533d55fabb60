"""Bad policies: each is refused by object and field, fails closed, and leaves others in force."""

from __future__ import annotations

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, NEAR, OWN_PORT, TELLER, VAULT
from twinway_conformance.objects import Object, both, port
from twinway_conformance.policies import (
    ANY,
    chosen,
    cluster_policy,
    labels,
    open_port,
    pods,
    policy,
    source,
    verdict,
)
from twinway_conformance.probes import Query, connects
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

FROM_CLIENT, FROM_ANYBODY = pods(labels(name="client")), pods(ANY, ANY)
BANK, EVERYBODY = chosen(labels(team="bank")), chosen(ANY)
FAR_ALONE = chosen(labels(team="shop"), labels(name="far"))
MOST_RULES, MOST_TERMS = 25, 1024


def to_far(*rules: Object) -> Object:
    """A NetworkPolicy for FAR with these ingress rules."""
    return policy("shop/bad", labels(name="far"), ingress=rules)


def bad_block(stage: Stage) -> Object:
    """A policy with two bad blocks: one has a bad CIDR, the other excepts a range outside of it."""
    inside, outside = both("10.244.1.0", stage.families)[0], both("10.96.0.0", stage.families)[0]
    length = 64 if ":" in inside else 24
    blocks = [{"cidr": f"{inside}/999"}, {"cidr": f"{inside}/{length}", "except": [f"{outside}/{length + 8}"]}]
    return to_far(source(*({"ipBlock": block} for block in blocks), FROM_CLIENT))


def bad_ports() -> Object:
    """A policy with two bad ranges of ports: one ends before it begins, the other begins with a name."""
    ports = [open_port(9000, "TCP", 80), open_port("web", "TCP", 90), open_port(53, "UDP")]
    return to_far(source(FROM_ANYBODY, ports=ports))


def bad_selector() -> Object:
    """A policy whose selector has more terms than a policy may have."""
    values = [f"value-{number}" for number in range(MOST_TERMS + 1)]
    selector = {"matchExpressions": [{"key": "name", "operator": "NotIn", "values": values}]}
    return policy("shop/bad", selector, ingress=[ANY])


def unknown_field() -> Object:
    """A policy with a rule that has a field which the API does not have."""
    rule = source(FROM_ANYBODY) | {"notFrom": [FROM_CLIENT]}
    return policy("shop/bad", labels(name="far"), ingress=[rule, source(FROM_CLIENT)])


def bad_priority() -> Object:
    """A policy whose priority is out of range."""
    rules = [verdict("Accept", "from", EVERYBODY), verdict("Deny", "from", BANK)]
    return cluster_policy("bad", "Admin", 1001, FAR_ALONE, ingress=rules)


def too_many_rules() -> Object:
    """A policy with one rule more than it may have: Accepts that match no pod, and a Deny at the end."""
    none = verdict("Accept", "from", chosen(labels(team="nobody")))
    rules = [verdict("Accept", "from", BANK), *[none] * (MOST_RULES - 1), verdict("Deny", "from", BANK)]
    return cluster_policy("bad", "Admin", 10, FAR_ALONE, ingress=rules)


def every_bad(stage: Stage) -> list[tuple[Object, str]]:
    """Each bad policy, and the beginning of the message that refuses it."""
    return [
        (bad_block(stage), "NetworkPolicy shop/bad: spec.ingress[0].from[0].ipBlock.cidr:"),
        (bad_block(stage), "NetworkPolicy shop/bad: spec.ingress[0].from[1].ipBlock:"),
        (bad_ports(), "NetworkPolicy shop/bad: spec.ingress[0].ports[0]:"),
        (bad_ports(), "NetworkPolicy shop/bad: spec.ingress[0].ports[1]:"),
        (bad_selector(), "NetworkPolicy shop/bad: spec.podSelector:"),
        (unknown_field(), "NetworkPolicy shop/bad: spec.ingress[0].notFrom:"),
        (bad_priority(), "ClusterNetworkPolicy bad: spec.priority:"),
        (too_many_rules(), "ClusterNetworkPolicy bad: spec.ingress:"),
    ]


def in_force(stage: Stage, bad: Object) -> None:
    """Give the agents a bad policy, and check that they report what is wrong with it."""
    stage.hold()
    stage.apply(bad, bad_policies=True)
    due = [words for thing, words in every_bad(stage) if thing == bad]
    for node in stage.lab.status()["nodes"]:
        reported = node["agent"]["rejected"]
        assert [words for words in due if not any(line.startswith(words) for line in reported)] == [], reported


@pytest.mark.row("bad-version")
@pytest.mark.parametrize("kind", ["NetworkPolicy", "ClusterNetworkPolicy"])
def test_unknown_version(stage: Stage, kind: str) -> None:
    """A policy of an unknown version lets nobody in or out of the pods that it selects, and is reported."""
    bad = to_far(source(FROM_CLIENT))
    bad["apiVersion"] = "networking.k8s.io/v2"
    if kind == "ClusterNetworkPolicy":
        bad = cluster_policy("bad", "Baseline", 10, FAR_ALONE, ingress=[verdict("Accept", "from", EVERYBODY)])
        bad["apiVersion"] = "policy.networking.k8s.io/v1"
    stage.hold()
    stage.apply(bad, bad_policies=True)
    for node in stage.lab.status()["nodes"]:
        reported = node["agent"]["rejected"]
        assert any(line.startswith(kind) and "apiVersion: must be" in line for line in reported), reported
    stage.expect(stage.denied(CLIENT, FAR), stage.denied(FAR, CLIENT), stage.allowed(CLIENT, NEAR))


@pytest.mark.row("bad-refused")
def test_refused_by_object_and_field(stage: Stage) -> None:
    """Each bad policy is refused by its file, object and field, and the policies in force stay."""
    stage.hold(to_far(source(FROM_CLIENT)))
    for bad, words in every_bad(stage):
        said = stage.lab.refused(bad)
        assert words in said, said
    stage.expect(stage.allowed(CLIENT, FAR), stage.denied(DOG, FAR), stage.allowed(DOG, NEAR))


@pytest.mark.row("bad-block")
def test_bad_blocks(stage: Stage) -> None:
    """A bad CIDR, and a block with an exception outside of it, match nothing; the rule's other peers do."""
    in_force(stage, bad_block(stage))
    stage.expect(
        stage.allowed(CLIENT, FAR), stage.denied(NEAR, FAR), stage.denied(TELLER, FAR), stage.allowed(DOG, NEAR)
    )


@pytest.mark.row("bad-ports")
def test_contradicting_ports(stage: Stage) -> None:
    """Ports that contradict themselves match nothing; other ports of the rule still match."""
    in_force(stage, bad_ports())
    stage.expect(
        stage.allowed(DOG, FAR, 53, "udp"),
        stage.denied(DOG, FAR),
        stage.denied(DOG, FAR, OWN_PORT[FAR]),
        stage.allowed(DOG, NEAR),
    )


@pytest.mark.row("bad-selector")
def test_enormous_selector(stage: Stage) -> None:
    """A policy with too large a selector lets nobody into any pod of its namespace, and affects no other."""
    in_force(stage, bad_selector())
    stage.expect(
        stage.denied(DOG, FAR), stage.denied(DOG, NEAR), stage.denied(NEAR, FAR), stage.allowed(DOG, VAULT)
    )


@pytest.mark.row("bad-field")
def test_unknown_field(stage: Stage) -> None:
    """A rule with an unknown field allows nobody; the policy still isolates, and its other rules hold."""
    in_force(stage, unknown_field())
    stage.expect(
        stage.allowed(CLIENT, FAR), stage.denied(NEAR, FAR), stage.denied(DOG, FAR), stage.allowed(DOG, NEAR)
    )


@pytest.mark.row("bad-priority")
def test_priority_out_of_range(stage: Stage) -> None:
    """In a policy without a valid priority, Accepts allow nobody, and Denies precede all other policies."""
    in_force(stage, bad_priority())
    stage.apply(policy("shop/own", labels(name="far"), ingress=[source(FROM_CLIENT)]), bad_policies=True)
    stage.expect(
        stage.denied(TELLER, FAR), stage.denied(DOG, FAR), stage.allowed(CLIENT, FAR), stage.allowed(TELLER, NEAR)
    )


@pytest.mark.row("bad-rules")
def test_too_many_rules(stage: Stage) -> None:
    """Rules up to the limit hold; from there on, the policy fails closed."""
    in_force(stage, too_many_rules())
    stage.expect(
        stage.allowed(TELLER, FAR), stage.denied(DOG, FAR), stage.denied(NEAR, FAR), stage.allowed(DOG, NEAR)
    )


@pytest.mark.row("bad-alone")
def test_others_go_on(stage: Stage) -> None:
    """While bad policies exist, good ones can be added and changed, and Services answer."""
    web = stage.service("shop/web", [port(8080, 80)], {"name": "near"})
    in_force(stage, bad_ports())
    stage.apply(web, policy("bank/shut", labels(name="vault"), ingress=[]), bad_policies=True)
    stage.expect(
        stage.denied(DOG, VAULT),
        stage.denied(DOG, FAR),
        (connects(Query(DOG, to), NEAR) for to in stage.at(web, 8080)),
    )
    stage.apply(policy("bank/shut", labels(name="vault"), ingress=[ANY]), bad_policies=True)
    stage.expect(stage.allowed(DOG, VAULT), stage.denied(DOG, FAR))
