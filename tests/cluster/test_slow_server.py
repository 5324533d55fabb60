"""Pods that are added while the API server is slow: the ADD waits, bounded, and says for what."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.following import until
from tests.cluster.objects import namespace, node, pod
from tests.unit.agents import cni, healthz

WAIT_SECONDS = 4.0
POD = pod("web", space="shop")


@pytest.fixture(autouse=True)
def _place(pod_netns):
    """The namespace of the requests' pod is there."""


def start(site, plane):
    """An agent of node n1."""
    source = {"kind": "kubernetes", "kubeconfig": str(plane.pki.kubeconfig)}
    return site.agent(source=source, cni={"wait_seconds": WAIT_SECONDS})


def refused(site):
    """How long an ADD took that was refused, and its reason."""
    began = time.monotonic()
    code, words = cni(site, "ADD")
    answer = json.loads(words)
    assert (code, answer["code"]) == (1, 11)
    return time.monotonic() - began, answer["msg"]


def test_an_add_waits_for_its_pod(plane, site):
    """A pod that the server has later than the runtime is in force when its ADD returns, and not before."""
    api = plane.api
    for each in (namespace("shop"), node("n1", "192.168.0.1")):
        api.create(each)
    agent = start(site, plane)
    until(agent.client.status, lambda status: status["complete"])
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(cni, site, "ADD")
        time.sleep(1.0)
        assert not adding.done()
        api.create(POD)
        assert adding.result(WAIT_SECONDS + 1)[0] == 0
    (endpoint,) = agent.client.status()["endpoints"]
    assert endpoint["pod"] == "shop/web"


def test_a_server_that_does_not_answer(plane, site):
    """An ADD of a pod that is not known fails in time; it succeeds once the server answers again."""
    api = plane.api
    for each in (namespace("shop"), node("n1", "192.168.0.1")):
        api.create(each)
    agent = start(site, plane)
    until(agent.client.status, lambda status: status["complete"])
    plane.signal_server(signal.SIGSTOP)
    seconds, reason = refused(site)
    assert WAIT_SECONDS <= seconds < WAIT_SECONDS + 3
    assert reason.startswith("pod shop/web: not in force after 4 s: ")
    assert "source of cluster objects does not know it yet" in reason
    assert agent.client.status()["endpoints"] == []
    plane.signal_server(signal.SIGCONT)
    plane.api.create(POD)
    assert cni(site, "ADD")[0] == 0


def test_a_server_that_is_away_when_the_agent_starts(plane, site):
    """The ADD names what is wrong with the server."""
    plane.end_server()
    agent = start(site, plane)
    until(agent.client.status, lambda status: status["error"])
    seconds, reason = refused(site)
    assert seconds < WAIT_SECONDS + 3
    assert "connection refused" in reason
    assert healthz(site)[0] == 503  # not ready before the first state
    plane.start_server()
    for each in (namespace("shop"), node("n1", "192.168.0.1"), POD):
        plane.api.create(each)
    until(lambda: cni(site, "ADD")[0], lambda code: code == 0)
    until(lambda: healthz(site)[0], lambda code: code == 200)
