"""NetworkPolicy: traffic that needs no rule, and traffic that is judged like any other."""

from __future__ import annotations

from functools import partial

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, HOST, HOST_PORT, N1, N2, NEAR, OWN_PORT, SERVERS, VAULT
from twinway_conformance.objects import Object, port
from twinway_conformance.policies import ANY, block, labels, namespaces, open_port, pods, policy, source, target
from twinway_conformance.probes import DROPPED, Query, connects, drops, rejects
from twinway_conformance.sockets import refusal
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy


def web(stage: Stage, name: str, selector: dict[str, str]) -> Object:
    """A Service whose port 8080 leads to 80, and 5353/UDP to 53."""
    return stage.service(name, [port(8080, 80), port(5353, 53, "UDP")], selector)


@pytest.mark.row("np-replies")
def test_replies_pass(stage: Stage) -> None:
    """Replies pass to a pod that nobody may reach, and from a pod that may reach nobody, over TCP and UDP."""
    stage.hold(
        policy("shop/in", labels(name="client"), ingress=[]), policy("shop/out", labels(name="far"), egress=[])
    )
    stage.expect(
        stage.allowed(CLIENT, FAR),
        stage.allowed(CLIENT, FAR, 53, "udp"),
        stage.allowed(CLIENT, VAULT),
        stage.denied(FAR, CLIENT),
        stage.denied(FAR, CLIENT, 53, "udp"),
        stage.denied(DOG, CLIENT),
    )


@pytest.mark.row("np-udp-one-way")
def test_one_way_udp(stage: Stage) -> None:
    """A pod gets the answers to its own UDP datagrams, while the same peer's other datagrams are dropped."""
    stage.hold(policy("shop/in", labels(name="client"), ingress=[]))
    stage.expect(
        stage.allowed(CLIENT, VAULT, 53, "udp"),
        stage.denied(VAULT, CLIENT, 53, "udp"),
        stage.denied(VAULT, CLIENT, 54, "udp"),
    )
    stage.expect(stage.allowed(CLIENT, VAULT, 53, "udp"), stage.denied(VAULT, CLIENT, 53, "udp"))


@pytest.mark.row("np-own-node")
def test_node_to_own_pod(stage: Stage) -> None:
    """A node always reaches its own pods, as the kubelet must; other nodes are judged."""
    stage.hold(policy("shop/closed", ANY, ingress=[]))
    stage.expect(
        stage.allowed(N1, NEAR),
        stage.allowed(N1, NEAR, 53, "udp"),
        stage.allowed(N2, FAR),
        stage.allowed(HOST, FAR),
        stage.denied(N1, FAR),
        stage.denied(N2, NEAR, 53, "udp"),
    )


@pytest.mark.row("np-own-node-service")
def test_node_to_own_pod_through_a_service(stage: Stage) -> None:
    """A node also reaches its own pod through a Service."""
    service = web(stage, "shop/near", {"name": "near"})
    stage.hold(service, policy("shop/closed", ANY, ingress=[]))
    stage.expect([connects(Query(N1, to), NEAR) for to in stage.at(service, 8080)])
    stage.expect([drops(N2, to) for to in stage.at(service, 8080)])


@pytest.mark.row("np-host-network")
def test_host_network_pods_are_not_selected(stage: Stage) -> None:
    """No policy isolates a host-network pod, and no pod selector matches one."""
    stage.hold(
        policy("shop/host", labels(role="host"), ingress=[], egress=[]),
        policy("bank/in", labels(name="teller"), ingress=[source(pods(labels(role="host"), ANY))]),
    )
    stage.expect(
        [connects(Query(place, to), HOST) for place in (CLIENT, DOG, N1) for to in stage.pod_at(HOST, HOST_PORT)]
    )
    stage.expect(stage.allowed(HOST, VAULT), stage.allowed(HOST, NEAR), stage.denied(HOST, "bank/teller"))


@pytest.mark.row("np-self")
def test_pod_to_itself(stage: Stage) -> None:
    """A pod reaches its own address, whatever its policies say."""
    stage.hold(policy("shop/closed", labels(name="near"), ingress=[], egress=[]))
    stage.expect(
        stage.allowed(NEAR, NEAR),
        stage.allowed(NEAR, NEAR, 53, "udp"),
        stage.denied(CLIENT, NEAR),
        stage.denied(NEAR, CLIENT),
    )


@pytest.mark.row("np-self-service")
def test_pod_to_itself_through_a_service(stage: Stage) -> None:
    """A pod that reaches itself through a Service is judged like any client, in both directions, TCP and UDP."""
    service = web(stage, "shop/self", {"name": "near"})
    through = [("tcp", to) for to in stage.at(service, 8080)] + [("udp", to) for to in stage.at(service, 5353)]
    itself = pods(labels(name="near"))
    for closed in (
        policy("shop/in", labels(name="near"), ingress=[]),
        policy("shop/out", labels(name="near"), egress=[]),
    ):
        stage.hold(service, closed)
        stage.expect(drops(NEAR, to, protocol) for protocol, to in through)
    stage.hold(
        service, policy("shop/both", labels(name="near"), ingress=[source(itself)], egress=[target(itself)])
    )
    stage.expect(connects(Query(NEAR, to, protocol), NEAR) for protocol, to in through)


@pytest.mark.row("np-after-translation")
def test_judged_after_translation(stage: Stage) -> None:
    """Policy sees the backend's address and port, so rules for pods and target ports hold through a Service."""
    service = web(stage, "shop/far", {"name": "far"})
    stage.hold(
        service,
        policy(
            "shop/out", labels(name="client"), egress=[target(pods(labels(name="far")), ports=[open_port(80)])]
        ),
        policy("yard/out", labels(name="dog"), egress=[target(ports=[open_port(8080)])]),
    )
    stage.expect([connects(Query(CLIENT, to), FAR) for to in stage.at(service, 8080)])
    stage.expect([drops(CLIENT, to, "udp") for to in stage.at(service, 5353)])
    stage.expect([drops(DOG, to) for to in stage.at(service, 8080)])


@pytest.mark.row("np-service-address")
def test_service_addresses_are_not_judged(stage: Stage) -> None:
    """An ipBlock of Service addresses allows nothing, and an exception of Service addresses denies nothing."""
    service = web(stage, "shop/far", {"name": "far"})
    owned = [
        ("10.96.0.0/12", "0.0.0.0/0") if "." in vip else ("fd00:96::/32", "::/0")
        for vip in service["spec"]["clusterIPs"]
    ]
    stage.hold(
        service,
        policy("shop/out", labels(name="client"), egress=[target(*(block(own) for own, _ in owned))]),
        policy("yard/out", labels(name="dog"), egress=[target(*(block(every, own) for own, every in owned))]),
    )
    stage.expect(
        (drops(CLIENT, to) for to in stage.at(service, 8080)),
        (connects(Query(DOG, to), FAR) for to in stage.at(service, 8080)),
    )


@pytest.mark.row("np-service-ingress")
def test_ingress_through_a_service(stage: Stage) -> None:
    """A backend's ingress rules see the client's own address, also through a Service."""
    service = web(stage, "shop/far", {"name": "far"})
    stage.hold(service, policy("shop/in", labels(name="far"), ingress=[source(namespaces(labels(team="yard")))]))
    stage.expect(
        (connects(Query(DOG, to), FAR) for to in stage.at(service, 8080)),
        (drops(CLIENT, to) for to in stage.at(service, 8080)),
        (connects(Query(DOG, to, "udp"), FAR) for to in stage.at(service, 5353)),
        (drops(CLIENT, to, "udp") for to in stage.at(service, 5353)),
    )


@pytest.mark.row("np-service-mixed")
def test_service_of_an_open_and_a_shut_backend(stage: Stage) -> None:
    """Of two backends, the one that policy denies never answers, and the other does."""
    service = web(stage, "shop/web", SERVERS)
    stage.hold(service, policy("shop/in", labels(name="far"), ingress=[]))
    queries = (Query(CLIENT, to, count=24, timeout=1.0) for to in stage.at(service, 8080))
    stage.expect_spread(queries, {NEAR, DROPPED})


@pytest.mark.row("np-icmp-errors")
def test_icmp_errors_pass(stage: Stage) -> None:
    """ICMP port unreachable for an allowed flow reaches a client that nobody may reach."""
    stage.hold(
        policy("shop/in", labels(name="client"), ingress=[]), policy("shop/out", labels(name="far"), egress=[])
    )
    with stage.talk(CLIENT) as talk:
        for family, address in zip(stage.families, cast.pod_addresses(FAR, stage.families), strict=True):
            socket = talk.udp(family)
            socket.connect(address, 9)
            assert refusal(partial(socket.ask, "hello")) == "ECONNREFUSED", f"IPv{family}"


@pytest.mark.row("np-closed-port")
def test_closed_port_of_an_open_pod(stage: Stage) -> None:
    """A closed port refuses clients that policy allows, and is silent towards others."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="client")))]))
    stage.expect([rejects(CLIENT, to) for to in stage.pod_at(FAR, 9)])
    stage.expect([drops(DOG, to) for to in stage.pod_at(FAR, 9)])


@pytest.mark.row("np-neighbours")
def test_neighbours_are_found(stage: Stage) -> None:
    """An isolated pod resolves its neighbours by ARP and neighbour discovery, and reaches allowed peers."""
    stage.hold(
        policy(
            "shop/closed",
            labels(name="client"),
            ingress=[],
            egress=[target(pods(labels(name="far")), ports=[open_port(OWN_PORT[FAR])])],
        )
    )
    for _ in range(2):
        stage.lab.execute(CLIENT, "ip", "neighbour", "flush", "nud", "reachable", "nud", "stale")
        stage.expect(stage.allowed(CLIENT, FAR, OWN_PORT[FAR]), stage.denied(CLIENT, FAR))
