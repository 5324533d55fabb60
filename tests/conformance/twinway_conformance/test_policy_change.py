"""NetworkPolicy: changes, restarts, and the first packet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, N1, N2, NEAR, TELLER, VAULT
from twinway_conformance.objects import Object, at, both, container_port, pod, port
from twinway_conformance.policies import ANY, labels, pods, policy, source
from twinway_conformance.probes import Query, connects
from twinway_conformance.running import SERVED, attempting, loading, none_connected, serving
from twinway_conformance.sockets import CallError, Remote, Socket, refusal
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

JUDGED_SECONDS = 1.0
"""The time after a change within which established connections are judged by it."""
OLD_PORT = 4321
"""A source port that the client binds."""


@pytest.fixture(autouse=True, scope="module")
def _servers(stage: Stage) -> Iterator[None]:
    stage.hold()
    with serving(stage.lab, FAR, VAULT):
        yield


def closed(way: str) -> Object:
    """A policy that lets nobody reach FAR, or CLIENT reach nobody."""
    if way == "ingress":
        return policy("shop/closed", labels(name="far"), ingress=[])
    return policy("shop/closed", labels(name="client"), egress=[])


def doors(stage: Stage, *places: str) -> list[tuple[str, str, int]]:
    """(place, address, port) of FAR's port 80 in every family, from each place."""
    return [(place, address, 80) for place in places for address in cast.pod_addresses(FAR, stage.families)]


def connections(stage: Stage, talk: Remote, service: Object) -> list[tuple[str, Socket]]:
    """Connected TCP and UDP sockets to FAR, directly and through the Service."""
    made = []
    for index, family in enumerate(stage.families):
        for address, number in (
            (cast.pod_addresses(FAR, stage.families)[index], SERVED),
            (service["spec"]["clusterIPs"][index], 7070),
        ):
            for kind, opened in (("tcp", talk.tcp), ("udp", talk.udp)):
                socket = opened(family)
                socket.connect(address, number)
                assert socket.ask("before").startswith(f"{FAR} ")
                made.append((f"{kind} to {address}", socket))
    return made


def last_answered(socket: Socket, begun: float, limit: float) -> float:
    """Seconds from `begun` to the last request that was answered; the first one past `limit` ends the search."""
    last = 0.0
    while last <= limit:
        asked = time.monotonic() - begun
        try:
            socket.ask("still there?", timeout=JUDGED_SECONDS)
        except CallError:
            break
        last = asked
    return last


@pytest.mark.parametrize("way", ["ingress", "egress"])
@pytest.mark.row("np-established")
def test_established_connections_are_judged_again(stage: Stage, way: str) -> None:
    """A policy that denies an established connection silences it within a second."""
    service = stage.service("shop/lines", [port(7070, SERVED), port(7070, SERVED, "UDP")], {"name": "far"})
    stage.hold(service)
    with stage.talk(CLIENT) as talk:
        held = connections(stage, talk, service)
        stage.apply(closed(way))
        begun = time.monotonic()
        limit = JUDGED_SECONDS * stage.lab.slow
        late = {what: last for what, socket in held if (last := last_answered(socket, begun, limit)) > limit}
    assert not late, f"expected silence within {limit:g} s; seconds of the last answer: {late}"


@pytest.mark.row("np-established-allowed")
def test_allowed_connections_are_left_alone(stage: Stage) -> None:
    """While policies are added, changed and removed, connections that all of them allow lose no request."""
    service = stage.service("shop/lines", [port(7070, SERVED), port(7070, SERVED, "UDP")], {"name": "far"})
    allows = [
        policy("shop/one", labels(name="far"), ingress=[source(pods(labels(name="client")))]),
        policy("shop/two", labels(name="far"), ingress=[source(pods(ANY, ANY))]),
        policy("shop/three", labels(name="far"), ingress=[source(pods(labels(role="client")))]),
    ]
    stage.hold(service)
    with loading(stage.lab, *((CLIENT, address, 7070) for address in service["spec"]["clusterIPs"])) as tallies:
        for before, thing in zip([None, *allows], allows, strict=False):
            stage.apply(thing)
            if before:
                stage.delete(before)
        stage.delete(allows[-1])
    for tally in tallies:
        assert not tally.losses, str(tally)


@pytest.mark.row("np-applied")
def test_in_force_on_return(stage: Stage) -> None:
    """In both directions, a policy is in force when `apply` returns, and gone when `delete` returns."""
    stage.hold()
    for way in ("ingress", "egress", "ingress"):
        stage.apply(closed(way))
        stage.expect(
            [*stage.denied(CLIENT, FAR), *stage.denied(CLIENT, FAR, 53, "udp"), *stage.allowed(TELLER, VAULT)]
        )
        stage.delete(closed(way))
        stage.expect(stage.allowed(CLIENT, FAR), stage.allowed(CLIENT, FAR, 53, "udp"))


@pytest.mark.row("np-time-wait")
def test_ports_in_time_wait_are_judged(stage: Stage) -> None:
    """A new connection from a client's port that the server still has in TIME_WAIT is judged like any other."""
    stage.hold()
    ends = (cast.pod_addresses(name, stage.families) for name in (CLIENT, FAR))
    pairs = list(zip(stage.families, *ends, strict=True))
    with stage.talk(CLIENT) as talk:
        for family, own, to in pairs:
            first = talk.tcp(family, bind=[own, OLD_PORT])
            first.connect(to, SERVED)
            assert first.ask("bye") == f"{FAR} {own} bye"
            assert first.ended() == 0
            first.close()
        waiting = stage.lab.execute(FAR, "ss", "-Htan", "state", "time-wait")
        assert sum(word.endswith(f":{OLD_PORT}") for word in waiting.split()) == len(pairs), waiting
        stage.apply(closed("ingress"))
        for family, own, to in pairs:
            second = talk.tcp(family, bind=[own, OLD_PORT])
            assert refusal(partial(second.connect, to, SERVED)) == "timeout"
            second.close()
        stage.delete(closed("ingress"))
        for family, own, to in pairs:
            third = talk.tcp(family, bind=[own, OLD_PORT])
            third.connect(to, SERVED)
            assert third.ask("back") == f"{FAR} {own} back"


@pytest.mark.row("np-first-packet")
def test_in_force_before_the_first_packet(stage: Stage) -> None:
    """A new pod under a policy is never reached, not even for a moment, by clients that the policy denies."""
    shut = policy("shop/in", labels(fresh="yes"), ingress=[source(pods(labels(name="near")))])
    comers = {f"shop/fresh-{last}": both(f"10.244.2.{last}", stage.families) for last in (60, 61, 62)}
    stage.hold(shut)
    tried = [(CLIENT, address, 80) for addresses in comers.values() for address in addresses]
    with attempting(stage.lab, *tried) as counts:
        for name, addresses in comers.items():
            stage.hold(shut, pod(name, "n2", addresses, [container_port(80)], {"fresh": "yes"}))
            stage.expect(connects(Query(NEAR, at(address, 80)), name) for address in addresses)
    none_connected(counts)


@pytest.mark.row("np-swap")
def test_swapped_policies_never_open(stage: Stage) -> None:
    """While one policy replaces another, a connection that both deny never succeeds."""
    one = policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="near")))])
    two = policy("shop/in", labels(role="server"), ingress=[source(pods(labels(name="teller"), ANY))])
    stage.hold(one)
    with attempting(stage.lab, *doors(stage, CLIENT, DOG)) as counts:
        for thing in islice(cycle((two, one)), 8):
            stage.apply(thing)
    none_connected(counts)


@pytest.mark.row("np-agent-away")
def test_policy_outlives_the_agent(stage: Stage) -> None:
    """While agents are killed and started again, denied connections stay denied, and allowed ones are answered."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="near")))]))
    with attempting(stage.lab, *doors(stage, CLIENT, DOG)) as counts:
        for node in (N1, N2):
            stage.lab.agent("kill", node)
        try:
            stage.expect(stage.allowed(NEAR, FAR))
        finally:
            for node in (N1, N2):
                stage.lab.agent("start", node)
        stage.expect(stage.allowed(NEAR, FAR))
        stage.lab.agent("restart", N2)
    none_connected(counts)


@pytest.mark.driver_change
@pytest.mark.row("np-driver-change")
def test_policy_outlives_the_driver(stage: Stage, other_driver: str) -> None:
    """While nodes change to another driver and back, a denied connection never succeeds."""
    stage.hold(policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="near")))]))
    try:
        with attempting(stage.lab, *doors(stage, CLIENT, DOG)) as counts:
            for driver in (other_driver, stage.target.driver):
                stage.lab.driver(driver)
                stage.expect(stage.allowed(NEAR, FAR))
        none_connected(counts)
    finally:
        stage.lab.driver(stage.target.driver)
