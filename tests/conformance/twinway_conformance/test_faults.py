"""Services: restarts and changes of driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from twinway_conformance.cast import CLIENT, DOG, FAR, N1, N2, NEAR, SERVERS
from twinway_conformance.objects import Object, port
from twinway_conformance.probes import Due, Query, connects, rejects
from twinway_conformance.running import SERVED, Tally, loading, serving
from twinway_conformance.stage import Stage

PORT = 7070
NODES = (N1, N2)


@pytest.fixture(autouse=True, scope="module")
def _servers(stage: Stage) -> Iterator[None]:
    stage.hold()
    with serving(stage.lab, NEAR, FAR):
        yield


def lines(stage: Stage) -> Object:
    """The Service that gets the load."""
    return stage.service("shop/lines", [port(PORT, SERVED), port(PORT, SERVED, "UDP")], SERVERS)


def clients(stage: Stage) -> list[tuple[str, str, int]]:
    """The sources of load: pods of both nodes, in every family."""
    return [(place, address, PORT) for place in (CLIENT, DOG) for address in lines(stage)["spec"]["clusterIPs"]]


def answered(stage: Stage, service: Object) -> list[Due]:
    """Expect answers to new connections from both nodes to port 8080 of a Service."""
    return [
        connects(Query(place, to, count=10), {NEAR, FAR})
        for place in (CLIENT, DOG, N1)
        for to in stage.at(service, 8080)
    ]


def web(stage: Stage, name: str) -> Object:
    """A Service of two backends for probes, beside the load."""
    return stage.service(f"shop/{name}", [port(8080, 80), port(5353, 53, "UDP")], SERVERS)


def unharmed(tallies: list[Tally]) -> None:
    """Fail if a load lost a request."""
    hurt = [str(tally) for tally in tallies if tally.losses]
    assert not hurt, "\n".join(hurt)


@contextmanager
def agents_away(stage: Stage, *nodes: str) -> Iterator[None]:
    """Kill the agents of these nodes, and start them again at the end of the block."""
    for node in nodes:
        stage.lab.agent("kill", node)
    try:
        yield
    finally:
        for node in nodes:
            stage.lab.agent("start", node)


@pytest.mark.row("agent-killed")
def test_agent_killed_under_load(stage: Stage) -> None:
    """While all agents are killed, and after they start again, connections continue and new ones are answered."""
    stage.hold(lines(stage), web(stage, "web"))
    with loading(stage.lab, *clients(stage)) as tallies:
        with agents_away(stage, *NODES):
            stage.expect(answered(stage, web(stage, "web")))
        stage.expect(answered(stage, web(stage, "web")))
    unharmed(tallies)


@pytest.mark.row("agent-restarted")
def test_agent_restarted_under_load(stage: Stage) -> None:
    """No request is lost when an agent restarts, twice in a row."""
    stage.hold(lines(stage), web(stage, "web"))
    with loading(stage.lab, *clients(stage)) as tallies:
        for node in (*NODES, *NODES):
            stage.lab.agent("restart", node)
        stage.expect(answered(stage, web(stage, "web")))
    unharmed(tallies)


@pytest.mark.row("restart-changed")
def test_restart_with_changed_state(stage: Stage) -> None:
    """Changes made while an agent was down are in force once it runs again, and no request is lost."""
    old, new = web(stage, "old"), web(stage, "new")
    stage.hold(lines(stage), old)
    with loading(stage.lab, *clients(stage)) as tallies:
        with agents_away(stage, *NODES):
            stage.apply(new)
            stage.delete(old)
        stage.expect(answered(stage, new))
        gone = frozenset({"dropped", "rejected"})
        stage.expect(
            Due(Query(place, to, timeout=1.0), gone) for place in (CLIENT, N1) for to in stage.at(old, 8080)
        )
    unharmed(tallies)


@pytest.mark.row("empty-restart")
def test_restart_keeps_rejecting(stage: Stage) -> None:
    """A Service without endpoints also rejects connections while its node's agent is down, and afterwards."""
    empty = stage.service("shop/empty", [port(8080, 80)], {"name": "nobody"})
    stage.hold(empty)
    refused = [rejects(place, to) for place in (CLIENT, N1) for to in stage.at(empty, 8080)]
    with agents_away(stage, N1):
        stage.expect(refused)
    stage.expect(refused)


@pytest.mark.driver_change
@pytest.mark.row("driver-change")
def test_driver_change_under_load(stage: Stage, other_driver: str) -> None:
    """When nodes change to another driver and back, no connection breaks and no new one is refused."""
    stage.hold(lines(stage), web(stage, "web"))
    try:
        with loading(stage.lab, *clients(stage)) as tallies:
            for driver in (other_driver, stage.target.driver):
                stage.lab.driver(driver)
                stage.expect(answered(stage, web(stage, "web")))
        unharmed(tallies)
    finally:
        stage.lab.driver(stage.target.driver)
