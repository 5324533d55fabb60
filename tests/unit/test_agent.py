"""The agent as a process: it starts, serves, is replaced, and leaves traffic alone when it ends."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.unit.agents import POD, SERVICE, Agent, Site, cni, healthz
from tests.unit.cni.requests import TERWAY_RESULT
from twinway.client import AgentClient
from twinway.errors import SourceError, TwinwayError


@pytest.fixture(autouse=True)
def _place(pod_netns: str) -> None:
    """The namespace of the requests' pod is there."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_serves_what_the_manifests_say(site: Site) -> None:
    """An agent puts the manifests in force and reports so; a changed file is in force soon after."""
    version = site.put("a.json", SERVICE)
    agent = site.agent()
    status = agent.client.wait(version, 20)
    assert (status["node"], status["driver"], status["version"]) == ("n1", "fake", version)
    assert (status["complete"], status["error"], status["rejected"]) == (True, None, [])
    assert [item["service"] for item in agent.client.get("/services")["services"]] == ["shop/web"]
    newer = site.put("b.json", {**SERVICE, "metadata": {"name": "db", "namespace": "shop"}})
    assert agent.client.wait(newer, 20)["version"] == newer


def test_a_bad_manifest_is_reported_and_stops_no_other(site: Site) -> None:
    """What the file said stays in force, others go on, and health says why."""
    site.put("a.json", SERVICE)
    good = site.put("b.json", POD)
    agent = site.agent()
    agent.client.wait(good, 20)
    scratch = site.folder / "bad"
    scratch.write_text("{")
    scratch.replace(site.manifests / "a.json")
    agent.await_line("manifests cannot be read")
    more = {**SERVICE, "metadata": {"name": "db", "namespace": "shop"}}
    site.put("c.json", {**more, "spec": {"clusterIP": "10.96.0.11", "ports": [{"port": 80}]}})
    while len(agent.client.get("/services")["services"]) < 2:
        agent.await_line("applied ")
    status, reason = healthz(site)
    assert status == 503
    assert "/a.json:1: " in reason
    assert "/a.json:1: " in agent.client.status()["error"]


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


def test_only_one_on_a_bpffs(site: Site) -> None:
    """A second agent with pins in the same place is refused with the first one's pid, whatever its run_dir."""
    agent = site.agent()
    refused = site.twinway("agent", "--config", site.config(run_dir=str(site.folder / "run2")))
    assert (refused.returncode, refused.stderr) == (
        1,
        f"error: bpffs: {site.folder}/bpf/twinway: another agent, or a cleanup, uses these pins "
        f"(pid {agent.process.pid}): stop it first\n",
    )
    assert agent.client.status()["pid"] == agent.process.pid


def test_too_few_descriptors(site: Site) -> None:
    """An agent that may not open what it needs says so in one line, and leaves nothing."""
    refused = site.twinway("agent", "--config", site.config(), prefix=("prlimit", "--nofile=24:24"))
    assert (refused.returncode, refused.stderr) == (
        1,
        "error: open files: the limit is 24, and the agent needs 512: raise it "
        "(ulimit -n, LimitNOFILE= of the unit)\n",
    )
    assert not site.run_dir.exists()


def test_idle_clients_harm_nobody(site: Site) -> None:
    """However many clients say nothing, scrapes, questions and pods are served."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    version = site.put("a.json", POD)
    agent = site.agent(metrics={"address": f"127.0.0.1:{port}"})
    agent.client.wait(version, 20)
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        for name in ("cni.sock", "agent.sock"):
            for _ in range(200):
                idle = stack.enter_context(socket.socket(socket.AF_UNIX))
                idle.connect(str(site.run_dir / name))
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 200
        connection.close()
        assert cni(site, "ADD")[0] == 0
        assert agent.client.status()["pid"] == agent.process.pid
        assert len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir())) < 400
    agent.end()
    assert not [line for line in agent.lines if "WARNING" in line]


def test_survives_a_lack_of_descriptors(site: Site) -> None:
    """Without a descriptor left the agent lives on, says so once, and serves again when there are some."""
    agent = site.agent()
    pid = agent.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, limits[1]))
    with pytest.raises(TwinwayError):
        AgentClient(site.run_dir / "agent.sock", timeout=1.0).status()
    before = processor_seconds(pid)
    with pytest.raises(TwinwayError):
        AgentClient(site.run_dir / "agent.sock", timeout=2.0).status()
    assert processor_seconds(pid) - before < 1.0
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert agent.client.status()["pid"] == pid
    agent.end()
    assert len([line for line in agent.lines if "connections cannot be accepted" in line]) == 1
    assert not [line for line in agent.lines if "Traceback" in line]


def processor_seconds(pid: int) -> float:
    """User and system time of a process. Source: proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_clients_that_hang_up(site: Site) -> None:
    """Whoever leaves in the middle of a request or of its answer costs no line of the log."""
    agent = site.agent()
    for name in ("agent.sock", "cni.sock"):
        for half in (b"", b"GET /sta", b"GET /status HTTP/1.1\r\n\r\n"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(site.run_dir / name))
                connection.sendall(half)
    agent.client.status()
    agent.end()
    assert not [line for line in agent.lines if "Traceback" in line or "Exception" in line]


def test_hang_up_signal(site: Site) -> None:
    """SIGHUP does not end the agent: it reads its config again."""
    agent = site.agent()
    agent.process.send_signal(signal.SIGHUP)
    agent.await_line("the config's file has been read again")
    assert agent.client.status()["pid"] == agent.process.pid


def test_run_dir_that_vanishes(site: Site) -> None:
    """A run_dir that is removed under the agent is made again, attached pods included, with one line."""
    version = site.put("a.json", POD)
    agent = site.agent()
    agent.client.wait(version, 20)
    assert cni(site, "ADD")[0] == 0
    shutil.rmtree(site.run_dir)
    agent.await_line("parts of run_dir were gone, made again")
    assert agent.client.status()["error"] is None
    assert cni(site, "CHECK") == (0, "")
    agent.end(signal.SIGKILL)
    assert [each["pod"] for each in site.agent().client.wait(version, 20)["endpoints"]] == ["shop/web"]


def test_full_run_dir(site: Site) -> None:
    """On a full run_dir the agent starts or says in one line why not, and an ADD is refused with the reason."""
    site.run_dir.mkdir()
    version = site.put("a.json", POD)
    size = os.sysconf("SC_PAGE_SIZE")
    mount = f"mount -t tmpfs -o size={size} tmpfs {site.run_dir} && head -c {size} /dev/zero > {site.run_dir}/full"
    agent = site.agent(prefix=("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"))
    root = Path(f"/proc/{agent.process.pid}/root{site.run_dir}")
    AgentClient(root / "agent.sock").wait(version, 20)
    status, answer = cni(site, "ADD", root)
    assert status == 1
    assert "No space left on device: make room there" in json.loads(answer)["msg"]
    agent.end()
    assert not [line for line in agent.lines if "Traceback" in line]


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


def test_driver_changes_in_the_running_agent(site: Site) -> None:
    """The file names another driver: the same process serves by it, and the one before leaves."""
    version = site.put("a.json", SERVICE)
    agent = site.agent(resync_seconds=600)
    agent.client.wait(version, 20)
    site.config(driver="other")
    agent.process.send_signal(signal.SIGHUP)
    agent.await_line("driver changed from=fake to=other")
    agent.await_line("an earlier driver has left driver=fake")
    status = agent.client.wait(version, 20)
    assert (status["driver"], status["pid"], status["retiring"]) == ("other", agent.process.pid, [])
    assert [path.name for path in (site.run_dir / "drivers").iterdir()] == ["other"]
    assert healthz(site)[0] == 200


def test_a_config_map_that_is_edited(site: Site) -> None:
    """kubelet moves the link `..data` to a folder with the new file; the agent sees it by itself."""
    (site.folder / "..one").mkdir()
    (site.folder / "..two").mkdir()
    good = json.loads(site.config().read_text())
    (site.folder / "..one/node.json").write_text(json.dumps(good))
    (site.folder / "..two/node.json").write_text(json.dumps({**good, "driver": "failing"}))
    (site.folder / "..data").symlink_to("..one")
    (site.folder / "node.json").unlink()
    (site.folder / "node.json").symlink_to("..data/node.json")
    agent = Agent(site, site.folder / "node.json")
    site.running.append(agent)
    agent.await_line("started ")
    (site.folder / "..new").symlink_to("..two")
    (site.folder / "..new").rename(site.folder / "..data")
    line = agent.await_line("the config cannot be used, the one before stays in force")
    assert "driver failing cannot serve this node, fake stays: tcx is missing" in line
    status = agent.client.status()
    assert (status["driver"], status["health"]["ok"]) == ("fake", True)
    assert "tcx is missing" in status["config"]["error"]
    printed = site.twinway("status", "--socket", site.run_dir / "agent.sock").stdout
    assert "NOT in force: " in printed
    (site.folder / "..two/node.json").write_text(json.dumps({**good, "driver": "other"}))
    agent.await_line("config in force driver=other")
    assert agent.client.status()["config"]["error"] is None


def test_labels_of_the_node_choose_the_driver(site: Site) -> None:
    """Before the Node is known no driver serves; then the one that the first matching entry names does."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"path": "sockets"}}}
    site.put("a.json", SERVICE)
    agent = site.agent(nodes=[{"labels": {"path": "sockets"}, "driver": "other"}])
    agent.await_line("driver changed from=none to=fake")
    site.put("n.json", node)
    agent.await_line("driver changed from=fake to=other")
    agent.await_line("an earlier driver has left driver=fake")
    assert [path.name for path in (site.run_dir / "drivers").iterdir()] == ["other"]


def test_driver_with_connections_stays_until_they_end(site: Site) -> None:
    """A driver that connections still need is kept, and shown as retiring."""
    version = site.put("a.json", SERVICE)
    site.agent(driver="clinging").end()
    status = site.agent().client.wait(version, 20)
    assert status["retiring"] == ["clinging"]
    assert (site.run_dir / "drivers" / "clinging").exists()


def test_earlier_driver_that_is_gone_is_reported(site: Site) -> None:
    """A trace of a driver that is not installed any more is reported, and stops nothing."""
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
    """A path that cannot be made is reported with its key and what would help."""
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


def test_only_a_complete_snapshot_removes_anything(site: Site) -> None:
    """A partial snapshot adds to the kernel; the complete one after it removes what an earlier agent left."""
    pipe = site.folder / "script"
    os.mkfifo(pipe)
    agent = site.agent(script=pipe)
    with pipe.open("w", buffering=1) as script:

        def put(version: str, *services: str, complete: bool) -> None:
            script.write(json.dumps({"version": version, "complete": complete, "services": services}) + "\n")

        put("v1", "web", "db", complete=True)
        agent.client.wait("v1", 20)
        put("v2", "web", complete=False)
        while agent.client.status()["version"] != "v2":
            agent.await_line("applied ")
        assert not agent.client.status()["complete"]
        assert _in_kernel(agent) == 2
        assert "the first complete state is not in force" in healthz(site)[1]
        put("v3", "web", complete=True)
        assert agent.client.wait("v3", 20)["complete"]
        assert _in_kernel(agent) == 1


def _in_kernel(agent: Agent) -> int:
    (table,) = agent.client.get("/maps")["maps"]
    return int(table["entries"])


def test_a_source_that_loses_sync_says_why_and_since_when(site: Site) -> None:
    """Status and health show it; the last snapshot stays in force, and the next one ends it."""
    pipe = site.folder / "script"
    os.mkfifo(pipe)
    agent = site.agent(script=pipe)
    with pipe.open("w", buffering=1) as script:
        script.write(json.dumps({"version": "v1", "complete": True, "services": ["web"]}) + "\n")
        source = agent.client.wait("v1", 20)["source"]
        assert source == {"synced": True, "error": None, "since": None}
        script.write(json.dumps({"error": "watch of Services: connection reset"}) + "\n")
        while (status := agent.client.status())["source"]["synced"]:
            time.sleep(0.01)
        assert (status["version"], status["complete"]) == ("v1", True)
        assert status["source"]["error"] == "watch of Services: connection reset"
        assert 0 <= time.time() - status["source"]["since"] < 60
        code, reason = healthz(site)
        assert (code, reason.startswith("watch of Services: connection reset (since 20")) == (503, True)
        printed = site.twinway("status", "--socket", site.run_dir / "agent.sock").stdout
        assert "OUT OF SYNC: watch of Services: connection reset (since 20" in printed
        script.write(json.dumps({"error": None}) + "\n")
        while not agent.client.status()["source"]["synced"]:
            time.sleep(0.01)


def test_broken_manifest_keeps_what_is_in_force(site: Site) -> None:
    """A manifest that breaks is reported in the status; what was in force stays."""
    version = site.put("a.json", SERVICE)
    agent = site.agent()
    agent.client.wait(version, 20)
    (site.manifests / "a.json").write_text("{")
    agent.await_line("manifests cannot be read")
    with pytest.raises(TwinwayError, match=r"is not in force after 0\.1 s"):
        agent.client.wait("another", 0.1)
    status = agent.client.status()
    assert (status["version"], status["error"] is None) == (version, False)
    assert 0 <= time.time() - status["error_since"] < 60
    printed = site.twinway("status", "--socket", site.run_dir / "agent.sock").stdout
    assert "a.json" in printed
    assert "(since 20" in printed
    mended = site.put("a.json", {**SERVICE, "metadata": {"name": "db", "namespace": "shop"}})
    assert agent.client.wait(mended, 20)["error"] is None


def test_metrics_on_a_port(site: Site) -> None:
    """With an address in the config, metrics and health are served there, and nothing else is."""
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
