"""NetworkPolicy: ports and protocols."""

from __future__ import annotations

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, NEAR, OWN_PORT, TELLER, VAULT
from twinway_conformance.objects import at, both, container_port, pod
from twinway_conformance.policies import ANY, labels, open_port, pods, policy, source, target
from twinway_conformance.probes import Query, connects, drops
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy


@pytest.mark.row("np-port")
def test_port_by_number(stage: Stage) -> None:
    """A port by number allows exactly that port of that protocol."""
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(ports=[open_port(80), open_port(53, "UDP")])]),
        policy("yard/out", labels(name="dog"), egress=[target(ports=[open_port(80), open_port(53, "UDP")])]),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR, 80),
        stage.denied(CLIENT, FAR, OWN_PORT[FAR]),
        stage.allowed(CLIENT, FAR, 53, "udp"),
        stage.denied(CLIENT, FAR, 54, "udp"),
        stage.allowed(DOG, VAULT, 80),
        stage.denied(DOG, VAULT, OWN_PORT[VAULT]),
        stage.allowed(DOG, VAULT, 53, "udp"),
        stage.denied(DOG, VAULT, 54, "udp"),
    )


@pytest.mark.row("np-port-protocol")
def test_protocols_are_apart(stage: Stage) -> None:
    """A number allowed for one protocol stays denied for the other; without a protocol, TCP is meant."""
    bare = {"port": 53}
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(ports=[bare])]),
        policy("bank/in", labels(name="vault"), ingress=[source(ports=[open_port(80, "UDP")])]),
    )
    stage.expect(
        [*stage.denied(CLIENT, FAR, 53, "udp"), *stage.denied(CLIENT, FAR, 80), *stage.denied(CLIENT, VAULT, 80)]
    )


@pytest.mark.row("np-port-whole-protocol")
def test_protocol_without_port(stage: Stage) -> None:
    """A protocol without a port allows all of its ports, and none of another protocol's."""
    stage.hold(
        policy("shop/in", labels(name="far"), ingress=[source(ports=[{"protocol": "UDP"}])]),
        policy("shop/tcp", labels(name="near"), ingress=[source(ports=[{"protocol": "TCP"}])]),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR, 53, "udp"),
        stage.allowed(CLIENT, FAR, 54, "udp"),
        stage.denied(CLIENT, FAR, 80),
        stage.allowed(CLIENT, NEAR, OWN_PORT[NEAR]),
        stage.denied(CLIENT, NEAR, 53, "udp"),
    )


@pytest.mark.row("np-port-sctp")
def test_sctp_port(stage: Stage) -> None:
    """A port allowed for SCTP is open for SCTP alone."""
    stage.needs_sctp()
    ports = [container_port(132, "SCTP"), container_port(132)]
    stream = pod("shop/stream", "n2", both("10.244.2.70", stage.families), ports, {"name": "stream"})
    stage.hold(stream, policy("shop/in", labels(name="stream"), ingress=[source(ports=[open_port(132, "SCTP")])]))
    for address in both("10.244.2.70", stage.families):
        stage.expect(connects(Query(CLIENT, at(address, 132), "sctp"), "shop/stream"))
        stage.expect(drops(CLIENT, at(address, 132)))


@pytest.mark.row("np-port-named-ingress")
def test_named_port_of_ingress(stage: Stage) -> None:
    """A named port is looked up on each pod that the policy selects; the number of `own` differs between pods."""
    stage.hold(policy("shop/in", labels(role="server"), ingress=[source(ports=[open_port("own")])]))
    stage.expect(
        stage.allowed(CLIENT, NEAR, OWN_PORT[NEAR]),
        stage.denied(CLIENT, NEAR, 80),
        stage.allowed(DOG, FAR, OWN_PORT[FAR]),
        stage.denied(DOG, FAR, 80),
    )


@pytest.mark.row("np-port-named-egress")
def test_named_port_of_egress(stage: Stage) -> None:
    """A named port of an egress rule is looked up on the pod that the packet goes to."""
    stage.hold(policy("shop/out", labels(name="client"), egress=[target(ports=[open_port("own")])]))
    stage.expect(
        stage.allowed(CLIENT, NEAR, OWN_PORT[NEAR]),
        stage.denied(CLIENT, NEAR, 80),
        stage.allowed(CLIENT, VAULT, OWN_PORT[VAULT]),
        stage.denied(CLIENT, VAULT, 80),
    )


@pytest.mark.row("np-port-named-protocol")
def test_named_port_of_another_protocol(stage: Stage) -> None:
    """A name means the pod's port of that name and protocol; a name that no pod has allows nothing."""
    ports = [open_port("dns", "TCP"), open_port("nowhere"), open_port("log", "UDP")]
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(ports=ports)]))
    stage.expect(
        stage.denied(CLIENT, FAR, 53, "udp"),
        stage.denied(CLIENT, FAR, 80),
        stage.allowed(CLIENT, FAR, 54, "udp"),
    )


@pytest.mark.row("np-port-range")
def test_end_port(stage: Stage) -> None:
    """`port` to `endPort` allows both ends and the ports between them, and no others."""
    stage.hold(
        policy("shop/in", labels(role="server"), ingress=[source(ports=[open_port(80, "TCP", 81)])]),
        policy("bank/in", labels(name="vault"), ingress=[source(ports=[open_port(81, "TCP", 1000)])]),
        policy("yard/out", labels(name="dog"), egress=[target(ports=[open_port(54, "UDP", 54)])]),
    )
    stage.expect(
        stage.allowed(CLIENT, NEAR, 80),
        stage.allowed(CLIENT, NEAR, OWN_PORT[NEAR]),
        stage.allowed(CLIENT, FAR, 80),
        stage.denied(CLIENT, FAR, OWN_PORT[FAR]),
        stage.denied(CLIENT, VAULT, 80),
        stage.allowed(CLIENT, VAULT, OWN_PORT[VAULT]),
        stage.allowed(DOG, TELLER, 54, "udp"),
        stage.denied(DOG, TELLER, 53, "udp"),
    )


@pytest.mark.row("np-port-and-peer")
def test_ports_and_peers_of_one_rule(stage: Stage) -> None:
    """The ports of a rule hold for its own peers alone."""
    rules = [
        source(pods(labels(name="client")), ports=[open_port(80)]),
        source(pods(labels(name="near")), ports=[open_port(53, "UDP")]),
    ]
    stage.hold(policy("shop/in", labels(name="far"), ingress=rules))
    stage.expect(
        stage.allowed(CLIENT, FAR, 80),
        stage.denied(CLIENT, FAR, 53, "udp"),
        stage.denied(NEAR, FAR, 80),
        stage.allowed(NEAR, FAR, 53, "udp"),
    )


@pytest.mark.row("np-port-union")
def test_ports_add_up(stage: Stage) -> None:
    """Ports of several rules and several policies add up, also where they overlap."""
    stage.hold(
        policy("shop/one", labels(name="far"), ingress=[source(pods(ANY), ports=[open_port(1, "TCP", 80)])]),
        policy(
            "shop/two",
            labels(name="far"),
            ingress=[source(pods(ANY), ports=[open_port(80, "TCP", 90)]), source(ports=[open_port(82)])],
        ),
    )
    stage.expect(
        stage.allowed(CLIENT, FAR, 80),
        stage.allowed(CLIENT, FAR, OWN_PORT[FAR]),
        stage.denied(DOG, FAR, 80),
        stage.allowed(DOG, FAR, OWN_PORT[FAR]),
    )
