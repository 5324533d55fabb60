"""What agents write to a real API server under their own role: Events on objects, and no startup taint."""

from __future__ import annotations

import time

import pytest

from tests.cluster.accounts import Grant, create_account, grant, grants, kubeconfig, may, rules, token
from tests.cluster.api import Api
from tests.cluster.following import until
from tests.cluster.objects import cluster_policy, definition, node
from tests.cluster.test_following import create_when_possible
from tests.unit.agents import Site

TAINT = "twinway.io/agent-not-ready"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
PATCH_NODES = Grant("", "nodes", "patch")


@pytest.fixture(scope="module")
def account(guarded_plane, tmp_path_factory):
    """A kubeconfig of the agents' account, and a connection as that account."""
    create_account(guarded_plane.api)
    create_when_possible(guarded_plane.api, definition())
    create_when_possible(guarded_plane.api, rejected_object("zero"))
    made = token(guarded_plane.api)
    path = tmp_path_factory.mktemp("account") / "kubeconfig"
    own = Api(guarded_plane.pki.server, guarded_plane.pki.authority, made)
    return kubeconfig(guarded_plane, path, {"token": made}), own


@pytest.fixture
def agents(tmp_path, account):
    """Start an agent of a node, in folders of its own."""
    sites = []

    def start(name, **source):
        folder = tmp_path / name
        folder.mkdir()
        sites.append(Site(folder))
        keys = {"kind": "kubernetes", "kubeconfig": str(account[0]), **source}
        return sites[-1].agent(node_name=name, source=keys)

    yield start
    for site in sites:
        site.close()


def rejected_object(name):
    """A policy that the API server takes and twinway cannot use."""
    bad = cluster_policy(name)
    bad["spec"]["tier"] = "Middle"
    return bad


def events(api, name):
    """The Events on an object of this name."""
    return [each for each in api.request("GET", EVENTS)["items"] if each["regarding"]["name"] == name]


def test_two_agents_write_one_event(guarded_plane, agents):
    """Both see the rejected object, one Event is there, and it names the object, the field and the reason."""
    api = guarded_plane.api
    for name in ("n1", "n2"):
        api.create(node(name, f"192.168.0.{name[1]}"))
    started = [agents(name) for name in ("n1", "n2")]
    made = api.create(rejected_object("first"))
    for agent in started:
        until(agent.client.status, lambda status: len(status["rejected"]) == 2)
    (event,) = until(lambda: events(api, "first"), lambda found: found)
    line, _ = started[0].client.status()["rejected"]
    assert event["note"] in line
    assert (event["type"], event["reason"]) == ("Warning", "Rejected")
    assert event["regarding"]["uid"] == made["metadata"]["uid"]
    assert event["reportingInstance"] in ("n1", "n2")
    # The other agent's moment comes five seconds after the first one's: it finds the Event there.
    time.sleep(8)
    assert len(events(api, "first")) == 1
    # A further revision with the same fault is no further Event, and nothing was refused or tried again.
    api.patch(rejected_object("first"), {"metadata": {"annotations": {"note": "y"}}})
    time.sleep(2)
    assert len(events(api, "first")) == 1
    for agent in started:
        agent.end()
        assert not [line for line in agent.lines if "cannot be written" in line]


def test_events_that_are_refused_harm_nothing(guarded_plane, account, agents):
    """Without the verb one line says so; the state is in force, and health is good."""
    api = guarded_plane.api
    missing = Grant("events.k8s.io", "events", "create")
    grant(api, [each for each in grants(rules()) if each != missing])
    try:
        until(lambda: may(account[1], missing), lambda allowed: not allowed)
        api.create(rejected_object("second"))
        agent = agents("n3")
        line = agent.await_line("an Event cannot be written")
        assert 'cannot create resource "events"' in line
        status = agent.client.status()
        assert (status["error"], status["complete"]) == (None, True)
        assert events(api, "second") == []
    finally:
        grant(api, list(grants(rules())))


def test_the_startup_taint_goes_with_the_first_state(guarded_plane, account, agents):
    """It alone; without the verb a line says so, and with it the taint is removed soon after."""
    api = guarded_plane.api
    other = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    tainted = node("n4", "192.168.0.4")
    tainted["spec"] = {"taints": [other, {"key": TAINT, "effect": "NoSchedule"}]}
    api.create(tainted)
    agent = agents("n4", startup_taint=TAINT)
    line = agent.await_line("the startup taint of this node cannot be removed")
    assert 'cannot patch resource "nodes"' in line
    before = taints(api, "n4")  # the API server has added one of its own
    assert {other["key"], TAINT} <= {each["key"] for each in before}
    grant(api, [*grants(rules()), PATCH_NODES])
    agent.await_line("startup taint removed")
    assert taints(api, "n4") == [each for each in before if each["key"] != TAINT]
    assert agent.client.status()["complete"]


def taints(api, name):
    """The taints of a node, as a test writes them."""
    found = api.request("GET", f"/api/v1/nodes/{name}")["spec"].get("taints", [])
    return [{key: value for key, value in each.items() if key != "timeAdded"} for each in found]


def test_the_rule_of_the_startup_taint_is_the_one_that_is_needed():
    """The chart's file for agents with a taint grants this and nothing else."""
    assert list(grants(rules("rules-startup-taint.yaml"))) == [PATCH_NODES]
