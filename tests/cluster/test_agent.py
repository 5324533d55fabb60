"""The agent on a real API server, end to end but for the kernel."""

from __future__ import annotations

import json

from tests.cluster.following import until
from tests.cluster.objects import endpoint_slice, service


def web(site):
    """The row of Service `default/web` in `twinway service list`, None while there is none."""
    answer = site.twinway("service", "list", "--json", "--socket", site.run_dir / "agent.sock")
    assert answer.returncode == 0, answer.stderr
    rows = json.loads(answer.stdout)["services"]
    return next((row for row in rows if row["service"] == "default/web"), None)


def test_objects_at_the_server_are_listed_by_the_agent(shared_plane, site):
    """A Service and its EndpointSlice, made, changed and removed at the server, are what the agent serves."""
    api = shared_plane.api
    made = api.create(service("web"))
    agent = site.agent(source={"kind": "kubernetes", "kubeconfig": str(shared_plane.pki.kubeconfig)})
    row = until(lambda: web(site), lambda row: row)
    (frontend,) = row["frontends"]
    assert (frontend["address"], frontend["port"], frontend["backends"]) == (made["spec"]["clusterIP"], 80, [])
    api.create(endpoint_slice("web-1", "web", "10.0.0.7"))
    until(lambda: web(site)["frontends"][0]["backends"], lambda backends: backends)
    (backend,) = web(site)["frontends"][0]["backends"]
    assert (backend["address"], backend["port"]) == ("10.0.0.7", 8080)
    assert agent.client.get("/status")["complete"]
    api.delete(service("web"))
    until(lambda: web(site), lambda row: row is None)


def test_a_server_that_is_lost_is_in_the_status(plane, site):
    """Its Services stay; the status says what is wrong and since when, and nothing once the server is back."""
    plane.api.create(service("web"))
    agent = site.agent(source={"kind": "kubernetes", "kubeconfig": str(plane.pki.kubeconfig)})
    until(lambda: web(site), lambda row: row)
    plane.end_server()
    status = until(lambda: agent.client.get("/status"), lambda status: status["error"])
    assert "connection refused" in status["error"]
    assert status["error_since"]
    assert web(site)
    plane.start_server()
    until(lambda: agent.client.get("/status"), lambda status: status["error"] is None)
