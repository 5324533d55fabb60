"""A change makes and removes what differs and leaves everything else alone; a kill loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from inotify_simple import INotify, flags

from tests.lab.labs import Lab
from tests.lab.objects import Object, deployment, node, pod, service
from twinway_lab.lock import held
from twinway_lab.names import LabName


def netns(lab: Lab, name: str) -> int:
    """What tells a pod's network namespace from any other."""
    return Path(f"/run/netns/twl-{lab.name}.pod.shop_{name}").stat().st_ino


def pods(lab: Lab) -> dict[str, list[str]]:
    """The addresses of all pods."""
    return {each["pod"]: each["addresses"] for each in lab.status()["pods"]}


def agent_pids(lab: Lab) -> list[int]:
    """The process ids of the agents."""
    return [each["agent"]["pid"] for each in lab.status()["nodes"]]


def test_apply_and_delete_touch_only_what_they_name(lab: Lab) -> None:
    """A pod comes and goes; the others keep their namespaces and the agents their processes."""
    lab.up(pod("a"), pod("b"))
    kept, agents = netns(lab, "a"), agent_pids(lab)
    extra = lab.file(pod("c"))
    lab.do("apply", "-f", extra)
    assert lab.probe("shop/a", f"{pods(lab)['shop/c'][0]}:80")["backend"] == "shop/c"
    lab.do("delete", "-f", extra)
    assert sorted(pods(lab)) == ["shop/a", "shop/b"]
    assert not Path(f"/run/netns/twl-{lab.name}.pod.shop_c").exists()
    assert (netns(lab, "a"), agent_pids(lab)) == (kept, agents)


def test_labels_change_without_a_new_pod(lab: Lab) -> None:
    """Only what the agents are shown is another."""
    lab.up(pod("a"))
    kept, version = netns(lab, "a"), lab.status()["version"]
    relabelled = pod("a")
    relabelled["metadata"]["labels"]["app"] = "other"
    lab.do("apply", "-f", lab.file(relabelled))
    now = lab.status()
    assert netns(lab, "a") == kept
    assert now["version"] != version
    assert {each["agent"]["version"] for each in now["nodes"]} == {now["version"]}


def test_ports_change_without_a_new_network(lab: Lab) -> None:
    """The pod answers on the new port, and no longer on the old one."""
    lab.up(pod("a", "10.244.1.5", on="n1"), pod("b"))
    kept = netns(lab, "a")
    lab.do("apply", "-f", lab.file(pod("a", "10.244.1.5", on="n1", tcp=8080)))
    outcomes = [lab.probe("shop/b", f"10.244.1.5:{port}")["outcome"] for port in (80, 8080)]
    assert outcomes == ["rejected", "connected"]
    assert netns(lab, "a") == kept


def test_another_address_is_another_network(lab: Lab) -> None:
    """Also where a pod takes the address that another one gives up in the same step."""
    lab.up(pod("a", "10.244.1.5", on="n1"), pod("b", "10.244.1.6", on="n1"))
    lab.do("sync", "-f", lab.file(pod("a", "10.244.1.6", on="n1"), pod("c", "10.244.1.5", on="n1")))
    assert lab.probe("shop/c", "10.244.1.6:80")["backend"] == "shop/a"


def test_nodes_come_go_and_change(lab: Lab) -> None:
    """With all that the others know of them."""
    lab.up(node("x"), pod("a", on="x"))
    lab.do("sync", "-f", lab.file(node("x"), node("y"), pod("a", on="x"), pod("b", on="y")))
    assert lab.probe("shop/a", f"{pods(lab)['shop/b'][0]}:80")["backend"] == "shop/b"
    lab.do("sync", "-f", lab.file(node("x"), node("y", "192.168.9.1"), pod("a", on="x"), pod("b", on="y")))
    assert lab.probe("node/y", f"{pods(lab)['shop/a'][0]}:80")["observed_source"] == "192.168.9.1"
    assert lab.probe("shop/a", f"{pods(lab)['shop/b'][0]}:80")["backend"] == "shop/b"
    lab.do("sync", "-f", lab.file(node("x"), pod("a", on="x")))
    assert [each["name"] for each in lab.status()["nodes"]] == ["x"]
    assert "there is no node/y" in lab.fail("exec", "node/y", "--", "true")


def test_workloads_grow_and_shrink(lab: Lab) -> None:
    """Pods that stay are the same ones; a Service keeps the address it was given."""
    lab.up(deployment("web", 3), service("web"))
    before, address = pods(lab), lab.status()["services"]
    lab.do("apply", "-f", lab.file(deployment("web", 2)))
    assert pods(lab) == {name: before[name] for name in ("shop/web-0", "shop/web-1")}
    lab.do("apply", "-f", lab.file(deployment("web", 4)))
    after = pods(lab)
    assert len(after) == 4
    assert {name: after[name] for name in ("shop/web-0", "shop/web-1")}.items() <= before.items()
    assert lab.status()["services"] == address


def test_a_refused_change_changes_nothing(lab: Lab) -> None:
    """The lab goes on as it was."""
    lab.up(pod("a"))
    version = lab.status()["version"]
    bad = service("web", ports=[{"port": 70000}])
    said = lab.fail("apply", "-f", lab.file(pod("b"), bad))
    assert "Service shop/web: spec.ports[0].port" in said
    assert (sorted(pods(lab)), lab.status()["version"]) == (["shop/a"], version)


CLUSTER: tuple[Object, ...] = (deployment("web", 4), pod("a", on="n1"))


@pytest.mark.parametrize("event", ["nodes/n1/run/agent.sock", "pods/pod.shop_a.json", "places/pod.shop_a.sock"])
def test_down_clears_what_a_killed_up_left(lab: Lab, event: str) -> None:
    """Wherever it was killed."""
    assert kill_when_there(lab, "up", lab.file(*CLUSTER), "--driver", "plain", event=event) == -signal.SIGKILL
    lab.do("down")
    assert lab.traces() == []


@pytest.mark.parametrize("event", ["pods/pod.shop_new.json", "places/pod.shop_new.sock"])
def test_a_killed_change_is_made_up_for_by_the_next(lab: Lab, event: str) -> None:
    """What the dead command had made and the next one does not want is gone; what it wants works."""
    lab.up(*CLUSTER)
    changed = lab.file(pod("new", on="n2"), deployment("web", 6))
    assert kill_when_there(lab, "apply", changed, event=event) == -signal.SIGKILL
    lab.do("sync", "-f", lab.file(*CLUSTER))
    assert len(pods(lab)) == 5
    assert not Path(f"/run/netns/twl-{lab.name}.pod.shop_new").exists()
    assert {each["outcome"] for each in lab.matrix()} == {"connected"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_up_that_is_told_to_end_clears_up_itself(lab: Lab, number: signal.Signals) -> None:
    """Ctrl-C and an ordinary kill: nothing is left for `down`."""
    status = kill_when_there(
        lab, "up", lab.file(*CLUSTER), "--driver", "plain", event="nodes/n1/run/agent.sock", number=number
    )
    assert status != 0
    assert lab.traces() == []


def test_two_commands_do_not_interleave(lab: Lab) -> None:
    """The second waits for the first, as long as its patience lasts, and then says so."""
    lab.up(pod("a"))
    with held(LabName(lab.name), 1.0):
        words = lab.fail("apply", "-f", lab.file(pod("b")), "--timeout", "0.2")
    assert "another command is changing it" in words
    assert sorted(pods(lab)) == ["shop/a"]


def kill_when_there(
    lab: Lab, verb: str, path: str, *words: str, event: str, number: signal.Signals = signal.SIGKILL
) -> int:
    """Run a command, and end it in the moment in which it makes a file of the lab's state; its status."""
    awaited = Path("/run/twinway/lab", lab.name, event)
    process = subprocess.Popen(
        # as in a terminal: what is started in the background ignores SIGINT, and its children do
        ["env", "--default-signal=INT", *lab.command(verb, "-f", path, *words)],
        env=lab.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with INotify() as watch:
        while not awaited.exists() and process.poll() is None:
            nearest = next(parent for parent in awaited.parents if parent.exists())
            watch.add_watch(nearest, flags.CREATE | flags.MOVED_TO)
            watch.read(timeout=20)
    os.killpg(process.pid, number)
    return process.wait()
