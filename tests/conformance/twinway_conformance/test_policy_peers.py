"""NetworkPolicy: the peers of a rule."""

from __future__ import annotations

import pytest

from twinway_conformance import cast, objects
from twinway_conformance.cast import CLIENT, DOG, FAR, GATE, HOST, HOST_PORT, N1, N2, NEAR, TELLER, VAULT
from twinway_conformance.objects import Object, alone, both, namespace
from twinway_conformance.policies import ANY, block, expression, labels, namespaces, pods, policy, source, target
from twinway_conformance.probes import Query, connects, drops
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

OUTSIDE = ("203.0.113.7", "2001:db8::7")
"""Addresses that only `external` has."""


def host(stage: Stage, name: str) -> list[Object]:
    """ipBlocks of one pod's addresses."""
    return [block(alone(address)) for address in cast.pod_addresses(name, stage.families)]


def everywhere(stage: Stage, *excepted: str) -> list[Object]:
    """ipBlocks of all addresses except the given ranges (IPv4; the IPv6 ranges follow from them)."""
    made = []
    for family in stage.families:
        out = [one for one in excepted if objects.family_of(one) == family]
        made.append(block("0.0.0.0/0" if family == 4 else "::/0", *out))
    return made


@pytest.mark.row("np-peer-pods")
def test_pod_peers_are_of_the_own_namespace(stage: Stage) -> None:
    """A podSelector alone means pods of the policy's namespace, whatever labels others have."""
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(pods(labels(role="client")))]),
        policy("yard/out", labels(name="dog"), egress=[target(pods(labels(role="client")))]),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.denied(TELLER, FAR),
        stage.denied(NEAR, FAR),
        stage.allowed(DOG, GATE),
        stage.denied(DOG, CLIENT),
        stage.denied(DOG, VAULT),
    )


@pytest.mark.row("np-peer-all-pods")
def test_empty_pod_selector_as_peer(stage: Stage) -> None:
    """The empty podSelector as a peer means every pod of the policy's namespace, and nobody else."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(pods(ANY))]))
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.allowed(NEAR, FAR),
        stage.denied(TELLER, FAR),
        stage.denied(DOG, FAR),
        stage.denied(N1, FAR),
    )


@pytest.mark.row("np-peer-namespaces")
def test_namespace_peers(stage: Stage) -> None:
    """A namespaceSelector alone means every pod of those namespaces, the policy's own only if it matches."""
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(namespaces(labels(team="bank")))]),
        policy("yard/out", labels(name="dog"), egress=[target(namespaces(expression("locked", "Exists")))]),
    )
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.allowed(VAULT, FAR),
        stage.denied(CLIENT, FAR),
        stage.denied(GATE, FAR),
        stage.allowed(DOG, VAULT),
        stage.denied(DOG, GATE),
    )


@pytest.mark.row("np-peer-all-namespaces")
def test_empty_namespace_selector(stage: Stage) -> None:
    """The empty namespaceSelector means every pod of the cluster, and no node."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(namespaces(ANY))]))
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.allowed(TELLER, FAR),
        stage.allowed(DOG, FAR),
        stage.denied(N1, FAR),
    )


@pytest.mark.row("np-peer-and")
def test_both_selectors_in_one_peer(stage: Stage) -> None:
    """namespaceSelector and podSelector in one peer must both match."""
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(pods(labels(role="client"), labels(team="bank")))])
    )
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.denied(VAULT, FAR),
        stage.denied(CLIENT, FAR),
        stage.denied(DOG, FAR),
    )


@pytest.mark.row("np-peer-or")
def test_selectors_in_two_peers(stage: Stage) -> None:
    """Of a namespaceSelector and a podSelector in two peers, one that matches is enough."""
    rule = source(namespaces(labels(team="bank")), pods(labels(role="client")))
    stage.hold(policy("shop/in", labels(name="far"), ingress=[rule]))
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.allowed(VAULT, FAR),
        stage.allowed(CLIENT, FAR),
        stage.denied(NEAR, FAR),
        stage.denied(DOG, FAR),
    )


@pytest.mark.row("np-namespace-name")
def test_namespace_by_its_name(stage: Stage) -> None:
    """Every namespace has the label `kubernetes.io/metadata.name`, as the API server guarantees."""
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": "bank"}}
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(namespaces(by_name))]))
    stage.expect(stage.allowed(TELLER, FAR), stage.denied(CLIENT, FAR), stage.denied(DOG, FAR))


@pytest.mark.row("np-block-pods")
def test_blocks_match_pods(stage: Stage) -> None:
    """An ipBlock matches pods by their addresses, like any other peer, in both directions."""
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(*host(stage, TELLER))]),
        policy("yard/out", labels(name="dog"), egress=[target(*host(stage, VAULT))]),
    )
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.denied(CLIENT, FAR),
        stage.denied(VAULT, FAR),
        stage.allowed(DOG, VAULT),
        stage.denied(DOG, GATE),
        stage.denied(DOG, TELLER),
    )


@pytest.mark.row("np-block-except")
def test_blocks_except(stage: Stage) -> None:
    """`except` takes ranges and single addresses out of an ipBlock, including those of pods."""
    out = [*map(alone, cast.pod_addresses(TELLER, stage.families)), *cast.ranges("n2", stage.families)]
    stage.hold(
        policy("shop/in", labels(name="near"), ingress=[source(*everywhere(stage, *out))]),
        policy("yard/out", labels(name="gate"), egress=[target(*everywhere(stage, *out))]),
    )
    stage.expect(
        stage.allowed(CLIENT, NEAR),
        stage.denied(TELLER, NEAR),
        stage.denied(DOG, NEAR),
        stage.allowed(GATE, CLIENT),
        stage.denied(GATE, TELLER),
        stage.denied(GATE, VAULT),
    )


@pytest.mark.row("np-block-or-except")
def test_excepted_by_one_allowed_by_another(stage: Stage) -> None:
    """`except` narrows its own block and denies nothing: another peer may allow what it excepts."""
    out = cast.ranges("n2", stage.families)
    rule = source(*everywhere(stage, *out), *host(stage, DOG))
    stage.hold(policy("shop/in", labels(name="near"), ingress=[rule]))
    stage.expect(stage.allowed(CLIENT, NEAR), stage.allowed(DOG, NEAR), stage.denied(VAULT, NEAR))


@pytest.mark.row("np-block-nodes")
def test_blocks_match_nodes(stage: Stage) -> None:
    """An ipBlock matches nodes by their addresses: another node as a client, and a node that a pod connects to."""
    nodes = [block(alone(address)) for address in both(cast.NODES["n1"], stage.families)]
    there = [block(alone(address)) for address in both(cast.NODES["n2"], stage.families)]
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(*nodes)]),
        policy("shop/out", labels(name="client"), egress=[target(*there)]),
        policy("bank/out", labels(name="teller"), egress=[target(*nodes)]),
    )
    stage.expect(stage.allowed(N1, FAR), stage.denied(DOG, FAR))
    stage.expect([connects(Query(CLIENT, to), HOST) for to in stage.pod_at(HOST, HOST_PORT)])
    stage.expect([drops(TELLER, to) for to in stage.pod_at(HOST, HOST_PORT)])


@pytest.mark.row("np-block-outside")
def test_blocks_match_the_outside(stage: Stage) -> None:
    """An ipBlock matches clients from outside the cluster by their own address."""
    peers = [
        block(cidr) for cidr in ("203.0.113.0/24", "2001:db8::/32") if objects.family_of(cidr) in stage.families
    ]
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(*peers)]),
        policy("shop/near", labels(name="near"), ingress=[source(pods(ANY))]),
    )
    outside = [address for address in OUTSIDE if objects.family_of(address) in stage.families]
    due = []
    for address, inside, closed in zip(outside, stage.pod_at(FAR, 80), stage.pod_at(NEAR, 80), strict=True):
        due.append(connects(Query("external", inside, address=address), FAR, {address}))
        due.append(drops("external", closed, address=address))
    stage.expect([*due, *stage.denied(CLIENT, FAR)])


@pytest.mark.row("np-block-family")
def test_blocks_are_of_one_family(stage: Stage) -> None:
    """An ipBlock of one family does not match the other family, which stays denied."""
    if len(stage.families) < 2:
        pytest.skip("needs a dual-stack cluster")
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(block("0.0.0.0/0"))]),
        policy("shop/six", labels(name="near"), ingress=[source(block("::/0"))]),
    )
    far_four, far_six = stage.pod_at(FAR, 80)
    near_four, near_six = stage.pod_at(NEAR, 80)
    stage.expect(
        connects(Query(CLIENT, far_four), FAR),
        drops(CLIENT, far_six),
        drops(CLIENT, near_four),
        connects(Query(CLIENT, near_six), NEAR),
    )


@pytest.mark.row("np-relabelled-pod")
def test_relabelled_pod(stage: Stage) -> None:
    """When a pod's labels change, rules and policies match it by the new ones."""
    rule = source(pods(labels(badge="gold")))
    thing = policy("shop/in", labels(guarded="yes"), ingress=[rule])
    guarded = cast.member(FAR, stage.families, guarded="yes")
    stage.hold(thing, guarded)
    stage.expect(stage.denied(CLIENT, FAR))
    stage.apply(cast.member(CLIENT, stage.families, badge="gold"))
    stage.expect(stage.allowed(CLIENT, FAR), stage.denied(NEAR, FAR))
    stage.apply(cast.member(FAR, stage.families))
    stage.expect(stage.allowed(CLIENT, FAR), stage.allowed(NEAR, FAR))


@pytest.mark.row("np-relabelled-namespace")
def test_relabelled_namespace(stage: Stage) -> None:
    """When a namespace's labels change, rules match its pods by the new ones."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(namespaces(labels(trusted="yes")))]))
    stage.expect(stage.denied(TELLER, FAR), stage.denied(DOG, FAR))
    stage.apply(namespace("bank", {"team": "bank", "trusted": "yes"}))
    stage.expect(stage.allowed(TELLER, FAR), stage.denied(DOG, FAR))


@pytest.mark.row("np-other-node")
def test_other_nodes_are_judged(stage: Stage) -> None:
    """A node other than the pod's own is judged like any client, and no pod selector matches it."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(namespaces(ANY))]))
    stage.expect(stage.denied(N1, FAR), stage.denied(N1, FAR, 53, "udp"), stage.allowed(N2, FAR))
