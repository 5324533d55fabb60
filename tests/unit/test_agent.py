"""The agent as a process: it starts, serves, is replaced, and leaves traffic alone when it ends."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.agents import POD, SERVICE, Site
from tests.unit.cni.requests import TERWAY_RESULT, config, environment, message
from twinway.errors import SourceError, TwinwayError


@pytest.fixture(autouse=True)
def _place(pod_netns: str) -> None:
    """The namespace of the requests' pod is there."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def cni(site: Site, verb: str) -> tuple[int, str]:
    """The agent's answer on its CNI socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.run_dir / "cni.sock"))
        connection.sendall(message(environment(verb), config()))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            status, _, stdout = stream.read().partition(b"\n")
    return int(status), stdout.decode()


def test_serves_what_the_manifests_say(site: Site) -> None:
    """An agent puts the manifests in force and tells so; a changed file is in force soon after."""
    version = site.put("a.json", SERVICE)
    agent = site.agent()
    status = agent.client.wait(version, 20)
    assert (status["node"], status["driver"], status["version"]) == ("n1", "fake", version)
    assert (status["complete"], status["error"], status["rejected"]) == (True, None, [])
    assert [item["service"] for item in agent.client.get("/services")["services"]] == ["shop/web"]
    newer = site.put("b.json", {**SERVICE, "metadata": {"name": "db", "namespace": "shop"}})
    assert agent.client.wait(newer, 20)["version"] == newer


def test_term_ends_it_in_peace(site: Site) -> None:
    """SIGTERM ends the agent with status 0 and says that traffic goes on; its sockets answer no more."""
    agent = site.agent()
    assert agent.end() == 0
    assert "stopped, traffic goes on" in agent.lines[-1]
    with pytest.raises(SourceError, match="not running"):
        agent.client.status()


def test_only_one_on_a_run_dir(site: Site) -> None:
    """A second agent on the same run_dir is refused with the first one's pid, which goes on."""
    agent = site.agent()
    refused = site.twinway("agent", "--config", site.config())
    assert refused.returncode == 1
    assert refused.stderr == (
        f"error: run_dir: {site.run_dir}: another agent runs here (pid {agent.process.pid}): "
        "stop it, or give this one a run_dir of its own\n"
    )
    assert agent.client.status()["pid"] == agent.process.pid


def test_successor_of_a_killed_agent(site: Site) -> None:
    """After SIGKILL the next agent takes over lock, sockets and attached pods."""
    version = site.put("a.json", POD)
    agent = site.agent()
    agent.client.wait(version, 20)
    assert cni(site, "ADD") == (0, json.dumps(TERWAY_RESULT))
    agent.end(signal.SIGKILL)
    successor = site.agent()
    status = successor.client.wait(version, 20)
    assert status["endpoints"] == [{"pod": "shop/web", "addresses": ["10.0.0.11"], "device": "eth0"}]


def test_note_of_a_pod_that_went_meanwhile(site: Site) -> None:
    """A pod whose DEL came while the agent was away is forgotten by the next one."""
    version = site.put("a.json", POD)
    agent = site.agent()
    agent.client.wait(version, 20)
    assert cni(site, "ADD")[0] == 0
    agent.end()
    (site.run_dir / "deleted" / "c1").touch()
    successor = site.agent()
    assert successor.client.wait(version, 20)["endpoints"] == []
    assert list((site.run_dir / "deleted").iterdir()) == []


def test_changed_driver_retires_the_one_before(site: Site) -> None:
    """After a change of driver the earlier one leaves, and its trace file with it."""
    version = site.put("a.json", SERVICE)
    site.agent().end()
    agent = site.agent(driver="other")
    agent.client.wait(version, 20)
    agent.await_line("an earlier driver has left driver=fake")
    assert agent.client.status()["retiring"] == []
    assert [path.name for path in (site.run_dir / "drivers").iterdir()] == ["other"]


def test_driver_with_connections_stays_until_they_end(site: Site) -> None:
    """A driver that connections still need is kept, and shown as retiring."""
    version = site.put("a.json", SERVICE)
    site.agent(driver="clinging").end()
    status = site.agent().client.wait(version, 20)
    assert status["retiring"] == ["clinging"]
    assert (site.run_dir / "drivers" / "clinging").exists()


def test_earlier_driver_that_is_gone_is_told(site: Site) -> None:
    """A trace of a driver that is not installed any more is told, and stops nothing."""
    version = site.put("a.json", SERVICE)
    (site.run_dir / "drivers").mkdir(parents=True)
    (site.run_dir / "drivers" / "lost").touch()
    agent = site.agent()
    agent.client.wait(version, 20)
    agent.end()
    assert any("driver=lost" in line and "install it again" in line for line in agent.lines)


def test_driver_that_cannot_start(site: Site) -> None:
    """A driver that lacks a must-have ends the agent with one line and status 1."""
    refused = site.twinway("agent", "--config", site.config(driver="failing"))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == "error: tcx is missing: use a kernel of 6.6 or newer"
    assert "Traceback" not in refused.stderr


def test_folder_that_cannot_be_made(site: Site) -> None:
    """A path that cannot be made is told with its key and what would help."""
    (site.folder / "file").touch()
    refused = site.twinway("agent", "--config", site.config(bpffs=str(site.folder / "file")))
    assert refused.returncode == 1
    assert f"error: bpffs: {site.folder}/file/twinway: Not a directory: mount one" in refused.stderr


def test_run_dir_that_cannot_be_used(site: Site) -> None:
    """So is a run_dir in which no lock can be made."""
    (site.run_dir / "agent.lock").mkdir(parents=True)
    refused = site.twinway("agent", "--config", site.config())
    assert refused.returncode == 1
    assert f"error: run_dir: {site.run_dir}/agent.lock: Is a directory: make it writable" in refused.stderr


def test_broken_manifest_keeps_what_is_in_force(site: Site) -> None:
    """A manifest that breaks is told in the status; what was in force stays."""
    version = site.put("a.json", SERVICE)
    agent = site.agent()
    agent.client.wait(version, 20)
    (site.manifests / "a.json").write_text("{")
    agent.await_line("manifests cannot be read")
    with pytest.raises(TwinwayError, match=r"is not in force after 0\.1 s"):
        agent.client.wait("another", 0.1)
    assert agent.client.status()["version"] == version


def test_metrics_on_a_port(site: Site) -> None:
    """With an address in the config, metrics and health are served there, and nothing else is."""
    from http.client import HTTPConnection

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site.agent(metrics={"address": f"127.0.0.1:{port}"})
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    for path, status in (("/metrics", 200), ("/livez", 200), ("/status", 404)):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert (path, response.status) == (path, status)
    connection.close()


def test_sockets_are_private(site: Site) -> None:
    """Nobody but the agent's own user can connect."""
    site.agent()
    modes = {name: (site.run_dir / name).stat().st_mode & 0o777 for name in ("agent.sock", "cni.sock")}
    assert modes == {"agent.sock": 0o600, "cni.sock": 0o600}
