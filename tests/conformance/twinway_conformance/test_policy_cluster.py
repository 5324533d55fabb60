"""ClusterNetworkPolicy: tiers, priorities, and its predecessors."""

from __future__ import annotations

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, HOST, HOST_PORT, N1, N2, NEAR, OWN_PORT, TELLER, VAULT
from twinway_conformance.objects import Object, alone
from twinway_conformance.policies import (
    ANY,
    admin_policy,
    chosen,
    cluster_policy,
    labels,
    namespaces,
    pods,
    policy,
    source,
    transport,
    verdict,
)
from twinway_conformance.probes import Query, connects, drops
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

SHOP = chosen(labels(team="shop"))
BANK, YARD, ALL = chosen(labels(team="bank")), chosen(labels(team="yard")), chosen(ANY)
FAR_ALONE = chosen(labels(team="shop"), labels(name="far"))


def admin(name: str, priority: int, *ingress: Object, subject: Object = FAR_ALONE) -> Object:
    """A policy of the Admin tier with these ingress rules, for FAR by default."""
    return cluster_policy(name, "Admin", priority, subject, ingress=ingress)


@pytest.mark.row("cnp-admin-deny")
def test_admin_deny(stage: Stage) -> None:
    """An Admin Deny overrules a NetworkPolicy that allows, for its own peers alone."""
    stage.hold(
        admin("deny", 10, verdict("Deny", "from", BANK)), policy("shop/any", labels(name="far"), ingress=[ANY])
    )
    stage.expect(
        stage.denied(TELLER, FAR),
        stage.denied(TELLER, FAR, 53, "udp"),
        stage.allowed(CLIENT, FAR),
        stage.allowed(TELLER, NEAR),
    )


@pytest.mark.row("cnp-admin-accept")
def test_admin_accept(stage: Stage) -> None:
    """An Admin Accept overrules a NetworkPolicy that isolates."""
    stage.hold(
        admin("accept", 10, verdict("Accept", "from", BANK)), policy("shop/none", labels(name="far"), ingress=[])
    )
    stage.expect(stage.allowed(TELLER, FAR), stage.denied(CLIENT, FAR), stage.denied(DOG, FAR))


@pytest.mark.row("cnp-admin-pass")
def test_admin_pass(stage: Stage) -> None:
    """An Admin Pass skips the rest of its tier and leaves the decision to NetworkPolicy, if there is any."""
    stage.hold(
        admin("pass", 10, verdict("Pass", "from", BANK)),
        admin("deny", 20, verdict("Deny", "from", ALL)),
        policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="teller"), ANY))]),
    )
    stage.expect(stage.allowed(TELLER, FAR), stage.denied(VAULT, FAR), stage.denied(CLIENT, FAR))
    stage.hold(admin("pass", 10, verdict("Pass", "from", BANK)), admin("deny", 20, verdict("Deny", "from", ALL)))
    stage.expect(stage.allowed(TELLER, FAR), stage.allowed(VAULT, FAR), stage.denied(CLIENT, FAR))


@pytest.mark.row("cnp-priority")
def test_priorities(stage: Stage) -> None:
    """The policy with the lower priority number decides, and within a policy the first rule that matches."""
    stage.hold(
        admin("second", 20, verdict("Deny", "from", ALL)),
        admin(
            "first",
            5,
            verdict("Accept", "from", BANK),
            verdict("Deny", "from", BANK),
            verdict("Deny", "from", YARD),
            verdict("Accept", "from", ALL, protocols=[transport("tcp", 80)]),
        ),
    )
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.allowed(TELLER, FAR, 53, "udp"),
        stage.denied(DOG, FAR),
        stage.allowed(CLIENT, FAR),
        stage.denied(CLIENT, FAR, OWN_PORT[FAR]),
    )


@pytest.mark.row("cnp-baseline")
def test_baseline(stage: Stage) -> None:
    """The Baseline tier decides where neither the Admin tier nor a NetworkPolicy does."""
    baseline = cluster_policy(
        "default", "Baseline", 0, SHOP, ingress=[verdict("Accept", "from", SHOP), verdict("Deny", "from", ALL)]
    )
    stage.hold(
        baseline,
        policy("shop/near", labels(name="near"), ingress=[source(namespaces(labels(team="yard")))]),
        cluster_policy(
            "first",
            "Admin",
            0,
            chosen(labels(team="shop"), labels(name="client")),
            ingress=[verdict("Accept", "from", YARD)],
        ),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.denied(TELLER, FAR),
        stage.denied(DOG, FAR),
        stage.allowed(DOG, NEAR),
        stage.denied(FAR, NEAR),
        stage.allowed(DOG, CLIENT),
        stage.denied(TELLER, CLIENT),
    )


@pytest.mark.row("cnp-egress")
def test_egress(stage: Stage) -> None:
    """Egress rules apply to the sending pod; the receiving pod's ingress rules are judged separately."""
    stage.hold(
        cluster_policy(
            "out", "Admin", 10, BANK, egress=[verdict("Accept", "to", FAR_ALONE), verdict("Deny", "to", ALL)]
        ),
        policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="teller"), ANY))]),
    )
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.denied(VAULT, FAR),
        stage.denied(TELLER, NEAR),
        stage.denied(TELLER, VAULT),
        stage.allowed(CLIENT, TELLER),
    )


@pytest.mark.row("cnp-networks")
def test_networks(stage: Stage) -> None:
    """A `networks` peer matches every address in its ranges, including those of pods."""
    ranges = cast.ranges("n2", stage.families)
    stage.hold(
        cluster_policy(
            "out",
            "Admin",
            10,
            chosen(labels(team="shop"), labels(name="client")),
            egress=[verdict("Deny", "to", {"networks": ranges})],
        )
    )
    stage.expect(
        stage.denied(CLIENT, FAR),
        stage.denied(CLIENT, VAULT, 53, "udp"),
        stage.allowed(CLIENT, NEAR),
        stage.allowed(NEAR, FAR),
    )


@pytest.mark.row("cnp-nodes")
def test_nodes(stage: Stage) -> None:
    """A `nodes` peer matches the addresses of the nodes that it selects, and so their host-network pods."""
    stage.hold(
        cluster_policy(
            "out",
            "Admin",
            10,
            chosen(labels(team="shop"), labels(name="client")),
            egress=[verdict("Deny", "to", {"nodes": labels(zone="n2")})],
        )
    )
    stage.expect(
        (drops(CLIENT, to) for to in stage.pod_at(HOST, HOST_PORT)),
        (connects(Query(NEAR, to), HOST) for to in stage.pod_at(HOST, HOST_PORT)),
        stage.allowed(CLIENT, FAR),
    )


@pytest.mark.row("cnp-protocols")
def test_protocols(stage: Stage) -> None:
    """Protocols, ports, ranges and named ports of a rule match exactly what they name."""
    deny = verdict("Deny", "from", ALL, protocols=[transport("udp", 53), transport("tcp", 81, 90)])
    named = verdict("Deny", "from", ALL, protocols=[{"destinationNamedPort": "own"}])
    whole = verdict("Deny", "from", ALL, protocols=[transport("udp", 1, 65535)])
    stage.hold(
        admin("some", 10, deny),
        admin("named", 10, named, subject=chosen(labels(team="shop"), labels(name="near"))),
        admin("whole", 10, whole, subject=chosen(labels(team="bank"), labels(name="vault"))),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.denied(CLIENT, FAR, OWN_PORT[FAR]),
        stage.denied(CLIENT, FAR, 53, "udp"),
        stage.allowed(CLIENT, FAR, 54, "udp"),
        stage.allowed(CLIENT, NEAR),
        stage.denied(CLIENT, NEAR, OWN_PORT[NEAR]),
        stage.allowed(CLIENT, VAULT),
        stage.denied(CLIENT, VAULT, 54, "udp"),
    )


@pytest.mark.row("cnp-host-network")
def test_host_network(stage: Stage) -> None:
    """Host-network pods are neither subjects nor pod peers, and a node always reaches its own pods."""
    stage.hold(cluster_policy("all", "Admin", 10, ALL, ingress=[verdict("Deny", "from", ALL)]))
    stage.expect(
        (connects(Query(CLIENT, to), HOST) for to in stage.pod_at(HOST, HOST_PORT)),
        stage.allowed(HOST, FAR),
        stage.allowed(N2, FAR),
        stage.allowed(N1, FAR),
        stage.denied(CLIENT, FAR),
        stage.denied(TELLER, VAULT),
    )


@pytest.mark.row("cnp-v1beta1")
def test_both_versions(stage: Stage) -> None:
    """ClusterNetworkPolicy means the same in v1beta1 and v1alpha2, also when both are used together."""
    deny = admin("deny", 10, verdict("Deny", "from", BANK))
    accept = admin("accept", 5, verdict("Accept", "from", chosen(labels(team="bank"), labels(name="teller"))))
    for mixed in (False, True):
        versions = ("v1beta1", "v1alpha2" if mixed else "v1beta1")
        both = [
            {**each, "apiVersion": f"policy.networking.k8s.io/{version}"}
            for each, version in zip((deny, accept), versions, strict=True)
        ]
        stage.hold(*both)
        stage.expect(stage.allowed(TELLER, FAR), stage.denied(VAULT, FAR), stage.allowed(CLIENT, FAR))


@pytest.mark.row("cnp-replies")
def test_replies(stage: Stage) -> None:
    """Replies of an accepted connection pass an Admin Deny of the other direction."""
    stage.hold(
        cluster_policy(
            "in",
            "Admin",
            10,
            chosen(labels(team="shop"), labels(name="client")),
            ingress=[verdict("Deny", "from", ALL)],
        )
    )
    stage.expect(
        stage.allowed(CLIENT, VAULT),
        stage.allowed(CLIENT, VAULT, 53, "udp"),
        stage.denied(VAULT, CLIENT),
        stage.denied(VAULT, CLIENT, 53, "udp"),
    )


@pytest.mark.row("anp-banp")
def test_predecessors(stage: Stage) -> None:
    """AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1 do what ClusterNetworkPolicy does."""
    ports = [{"portNumber": {"protocol": "TCP", "port": 80}}]
    stage.hold(
        admin_policy(
            "first",
            10,
            FAR_ALONE,
            ingress=[{"action": "Allow", "from": [BANK], "ports": ports}, {"action": "Deny", "from": [BANK]}],
        ),
        admin_policy("default", None, SHOP, ingress=[{"action": "Deny", "from": [YARD]}]),
    )
    stage.expect(
        stage.allowed(TELLER, FAR),
        stage.denied(TELLER, FAR, 53, "udp"),
        stage.denied(DOG, FAR),
        stage.denied(DOG, NEAR),
        stage.allowed(CLIENT, FAR),
        stage.allowed(TELLER, NEAR),
    )


@pytest.mark.row("anp-networks")
def test_networks_of_predecessors(stage: Stage) -> None:
    """An AdminNetworkPolicy's `networks` peer also matches pods by their addresses."""
    ranges = [alone(address) for address in cast.pod_addresses(VAULT, stage.families)]
    stage.hold(admin_policy("out", 10, SHOP, egress=[{"action": "Deny", "to": [{"networks": ranges}]}]))
    stage.expect(stage.denied(CLIENT, VAULT), stage.allowed(CLIENT, TELLER), stage.allowed(DOG, VAULT))
