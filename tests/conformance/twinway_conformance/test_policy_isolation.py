"""NetworkPolicy: which pods a policy isolates, and in which direction."""

from __future__ import annotations

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, NEAR, TELLER, VAULT
from twinway_conformance.policies import ANY, expression, labels, pods, policy, source, target, without_types
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy


@pytest.mark.row("np-deny-ingress")
def test_no_ingress_rules(stage: Stage) -> None:
    """Nobody reaches the pods of a policy without ingress rules, by TCP or UDP; other pods stay open."""
    stage.hold(policy("shop/closed", labels(name="far"), ingress=[]))
    stage.expect(
        stage.denied(CLIENT, FAR),
        stage.denied(DOG, FAR),
        stage.denied(CLIENT, FAR, 53, "udp"),
        stage.denied(TELLER, FAR, 53, "udp"),
        stage.allowed(CLIENT, NEAR),
        stage.allowed(DOG, VAULT),
    )


@pytest.mark.row("np-deny-egress")
def test_no_egress_rules(stage: Stage) -> None:
    """The pods of a policy without egress rules reach nobody, by TCP or UDP; other pods stay open."""
    stage.hold(policy("shop/closed", labels(name="client"), egress=[]))
    stage.expect(
        stage.denied(CLIENT, FAR),
        stage.denied(CLIENT, NEAR),
        stage.denied(CLIENT, FAR, 53, "udp"),
        stage.denied(CLIENT, VAULT, 53, "udp"),
        stage.allowed(NEAR, FAR),
        stage.allowed(TELLER, FAR),
    )


@pytest.mark.row("np-select-all")
def test_empty_selector(stage: Stage) -> None:
    """The empty podSelector selects every pod of its own namespace, and none of another."""
    stage.hold(policy("shop/closed", ANY, ingress=[]))
    stage.expect(
        stage.denied(TELLER, CLIENT),
        stage.denied(TELLER, NEAR),
        stage.denied(CLIENT, FAR),
        stage.allowed(CLIENT, VAULT),
        stage.allowed(DOG, TELLER),
    )


@pytest.mark.row("np-directions")
def test_directions_are_apart(stage: Stage) -> None:
    """A pod that is isolated for ingress still reaches others; one isolated for egress is still reached."""
    stage.hold(
        policy("shop/in", labels(name="near"), ingress=[]), policy("shop/out", labels(name="far"), egress=[])
    )
    stage.expect(
        stage.denied(CLIENT, NEAR),
        stage.allowed(NEAR, VAULT),
        stage.allowed(NEAR, VAULT, 53, "udp"),
        stage.denied(FAR, VAULT),
        stage.allowed(CLIENT, FAR),
        stage.allowed(CLIENT, FAR, 53, "udp"),
    )


@pytest.mark.row("np-types-ingress")
def test_types_default_to_ingress(stage: Stage) -> None:
    """Without policyTypes and without egress rules, a policy isolates for ingress alone."""
    stage.hold(without_types(policy("shop/default", labels(name="far"))))
    stage.expect(stage.denied(CLIENT, FAR), stage.allowed(FAR, VAULT))


@pytest.mark.row("np-types-both")
def test_types_default_to_both(stage: Stage) -> None:
    """Without policyTypes and with egress rules, a policy isolates in both directions."""
    stage.hold(
        without_types(policy("shop/default", labels(name="far"), egress=[target(pods(labels(name="near")))]))
    )
    stage.expect(stage.denied(CLIENT, FAR), stage.allowed(FAR, NEAR), stage.denied(FAR, VAULT))


@pytest.mark.row("np-types-without-rules")
def test_type_without_rules(stage: Stage) -> None:
    """A policy whose policyTypes name a direction without rules denies everything in that direction."""
    stage.hold(policy("shop/both", labels(name="far"), ingress=[ANY], types=["Ingress", "Egress"]))
    stage.expect(stage.allowed(CLIENT, FAR), stage.denied(FAR, NEAR), stage.denied(FAR, VAULT, 53, "udp"))


@pytest.mark.row("np-rules-without-type")
def test_rules_without_type(stage: Stage) -> None:
    """Rules of a direction that policyTypes leaves out have no effect."""
    thing = policy("shop/egress", labels(name="far"), ingress=[], egress=[ANY], types=["Egress"])
    stage.hold(thing)
    stage.expect(stage.allowed(CLIENT, FAR), stage.allowed(FAR, VAULT))


@pytest.mark.row("np-empty-rule")
def test_empty_rule(stage: Stage) -> None:
    """An empty rule allows everybody and every port; empty lists of peers or ports restrict nothing."""
    stage.hold(
        policy("shop/any", labels(name="far"), ingress=[ANY]),
        policy("shop/lists", labels(name="near"), ingress=[source(ports=[])]),
        policy("bank/out", labels(name="teller"), egress=[target(ports=[])]),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.allowed(DOG, FAR, 53, "udp"),
        stage.allowed(CLIENT, NEAR),
        stage.allowed(DOG, NEAR, 54, "udp"),
        stage.allowed(TELLER, VAULT),
        stage.allowed(TELLER, FAR),
    )


@pytest.mark.row("np-union")
def test_policies_add_up(stage: Stage) -> None:
    """A pod's policies add up: a connection is allowed if any of them allows it."""
    stage.hold(
        policy("shop/none", ANY, ingress=[]),
        policy("shop/one", labels(name="far"), ingress=[source(pods(labels(name="client")))]),
        policy("shop/two", labels(role="server"), ingress=[source(pods(labels(name="teller"), ANY))]),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.allowed(TELLER, FAR),
        stage.allowed(TELLER, NEAR),
        stage.denied(CLIENT, NEAR),
        stage.denied(DOG, FAR),
        stage.denied(DOG, NEAR),
    )


@pytest.mark.row("np-both-ends")
def test_both_ends_must_allow(stage: Stage) -> None:
    """A connection is allowed only if both the client's egress and the server's ingress allow it."""
    stage.hold(
        policy("shop/out", labels(name="client"), egress=[target(pods(labels(role="server")))]),
        policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="near")))]),
    )
    stage.expect(
        stage.allowed(CLIENT, NEAR),
        stage.denied(CLIENT, FAR),
        stage.allowed(NEAR, FAR),
        stage.denied(CLIENT, VAULT),
    )


@pytest.mark.row("np-expressions")
def test_match_expressions(stage: Stage) -> None:
    """In, NotIn, Exists and DoesNotExist select as the API says, the negative ones also without the label."""
    stage.hold(
        policy("shop/in", expression("name", "In", "far", "nobody"), ingress=[]),
        policy("bank/not-in", expression("name", "NotIn", "teller"), ingress=[]),
        policy("yard/absent", expression("role", "DoesNotExist"), ingress=[]),
        policy("shop/exists", expression("absent", "Exists"), egress=[]),
    )
    stage.expect(
        stage.denied(CLIENT, FAR),
        stage.allowed(CLIENT, NEAR),
        stage.denied(CLIENT, VAULT),
        stage.allowed(CLIENT, TELLER),
        stage.allowed(CLIENT, DOG),
        stage.allowed(NEAR, CLIENT),
    )


@pytest.mark.row("np-own-namespace")
def test_policies_keep_to_their_namespace(stage: Stage) -> None:
    """A policy selects pods of its own namespace alone, even if pods elsewhere have the same labels."""
    stage.hold(policy("shop/servers", labels(role="server"), ingress=[]))
    stage.expect(stage.denied(DOG, NEAR), stage.denied(DOG, FAR), stage.allowed(DOG, VAULT))
