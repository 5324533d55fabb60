"""The lab's commands: what they say, and with which status they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.lab.labs import Lab
from tests.lab.objects import node, pod, service


def test_a_driver_that_cannot_start_leaves_nothing(lab: Lab) -> None:
    """`up` says why, in the driver's own words."""
    said = lab.fail("up", "-f", lab.file(pod("a")), "--driver", "failing")
    assert "tcx is missing: use a kernel of 6.6 or newer" in said
    assert lab.traces() == []


def test_bad_input_leaves_nothing(lab: Lab) -> None:
    """A wrong object, a file that is not there, a word that is no driver."""
    said = lab.fail("up", "-f", lab.file(service("web", ports=[{"port": 0}])), "--driver", "plain")
    assert "document 1, item 1: Service shop/web: spec.ports[0].port" in said
    assert "no such file or folder" in lab.fail("up", "-f", "/nowhere.yaml", "--driver", "plain")
    said = lab.fail("up", "-f", lab.file(pod("a")), "--driver", "nobody")
    assert all(name in said for name in ("nobody", "failing", "other", "plain"))
    assert lab.traces() == []


def test_up_twice_is_refused_and_harms_nothing(lab: Lab) -> None:
    """The lab that is there goes on."""
    lab.up(pod("a"))
    assert "it is there already" in lab.fail("up", "-f", lab.file(pod("b")), "--driver", "plain")
    assert [each["pod"] for each in lab.status()["pods"]] == ["shop/a"]


def test_every_command_knows_when_there_is_no_lab(lab: Lab) -> None:
    """One clear line; only `down` has nothing against it."""
    path = lab.file(pod("a"))
    for words in (
        ("apply", "-f", path),
        ("delete", "-f", path),
        ("sync", "-f", path),
        ("status",),
        ("matrix",),
        ("probe", "--from", "shop/a", "--to", "10.0.0.1:80"),
        ("exec", "shop/a", "--", "true"),
        ("agent", "start", "node/n1"),
        ("driver", "plain"),
    ):
        assert "there is no such lab" in lab.fail(*words), words
    lab.do("down")


def test_wrong_usage_ends_with_two(lab: Lab) -> None:
    """Words that mean nothing, whatever labs there are."""
    for words in (
        ("up",),
        ("probe", "--from", "shop/a"),
        ("probe", "--from", "nobody", "--to", "10.0.0.1:80"),
        ("probe", "--from", "shop/a", "--to", "10.0.0.1"),
        ("agent", "pause", "node/n1"),
        ("agent", "kill", "shop/a"),
        ("up", "-f", "x.yaml", "--pod-device", "wire"),
    ):
        assert lab.fail(*words, status=2), words


def test_several_files_and_folders_are_one_cluster(lab: Lab) -> None:
    """After one `-f`, after several, and a folder's files with them."""
    folder = lab.folder / "cluster"
    folder.mkdir()
    Path(lab.file(pod("c"))).rename(folder / "c.json")
    paths = [lab.file(pod("a")), lab.file(pod("b")), str(folder)]
    lab.do("up", "-f", paths[0], paths[1], "-f", paths[2], "--driver", "plain")
    assert [each["pod"] for each in lab.status()["pods"]] == ["shop/a", "shop/b", "shop/c"]


def test_exec_is_the_command(lab: Lab) -> None:
    """Input, output and status are the command's; it lives in the pod's cgroup, with signals as usual."""
    lab.up(pod("a"), node("n1"))
    shown = lab.do("exec", "shop/a", "--", "cat", "/proc/self/cgroup")
    assert f"/twinway-lab/{lab.name}/node.n1/pods/shop_a" in shown
    assert lab.run("exec", "shop/a", "--", "sh", "-c", "exit 41").returncode == 41
    # A program that writes into a closed pipe ends: Python would have it ignore that.
    assert lab.do("exec", "shop/a", "--", "sh", "-c", "yes | head -1; echo done") == "y\ndone\n"
    assert "cannot be run" in lab.fail("exec", "shop/a", "--", "no-such-program")


def test_a_nodes_agent_is_asked_at_the_node(lab: Lab) -> None:
    """`twinway` there is this very program, and finds that node's agent and config, whatever is set outside."""
    lab.up(pod("a", on="n2"))
    lab.environment |= {"TWINWAY_AGENT": "/nowhere.sock", "PATH": "/usr/bin:/bin"}
    for name in ("n1", "n2"):
        status = json.loads(lab.do("exec", f"node/{name}", "--", "twinway", "status", "--json"))
        assert (status["node"], status["driver"]) == (name, "plain")
    assert "shop/a" in lab.do("exec", "node/n2", "--", "twinway", "endpoint", "list")
    assert "n1" in lab.do("exec", "node/n1", "--", "sh", "-c", "twinway config explain")


def test_an_agent_is_killed_and_started(lab: Lab) -> None:
    """A killed agent is not waited for; the one that is started knows what it missed."""
    lab.up(pod("a"))
    lab.do("agent", "kill", "node/n1")
    assert [each["agent"] is None for each in lab.status()["nodes"]] == [True, False]
    lab.do("apply", "-f", lab.file(service("web")))
    lab.do("agent", "start", "node/n1")
    now = lab.status()
    assert {each["agent"]["version"] for each in now["nodes"]} == {now["version"]}
    before = now["nodes"][0]["agent"]["pid"]
    lab.do("agent", "restart", "node/n1")
    assert lab.status()["nodes"][0]["agent"]["pid"] != before


def test_an_agent_that_died_by_itself_is_missed(lab: Lab) -> None:
    """A change does not pass over a node whose agent has ended."""
    lab.up(pod("a"))
    pid = lab.status()["nodes"][1]["agent"]["pid"]
    lab.do("exec", "node/n2", "--", "kill", "-KILL", str(pid))
    assert "node n2: the agent has ended" in lab.fail("apply", "-f", lab.file(service("web")))


def test_the_driver_is_changed_or_stays(lab: Lab) -> None:
    """On every node; where the new one cannot start, all nodes go on with the old one."""
    lab.up(pod("a"))
    lab.do("driver", "other")
    assert {lab.status()["driver"], *(each["agent"]["driver"] for each in lab.status()["nodes"])} == {"other"}
    assert "tcx is missing" in lab.fail("driver", "failing")
    assert {lab.status()["driver"], *(each["agent"]["driver"] for each in lab.status()["nodes"])} == {"other"}


def test_services_are_asked_by_name(lab: Lab) -> None:
    """A name without a cluster IP, or of nobody, is reported."""
    lab.up(pod("a"), service("none", clusterIP="None"))
    assert "has no cluster IP" in lab.fail("probe", "--from", "shop/a", "--to", "none.shop:80")
    assert "there is no Service web" in lab.fail("probe", "--from", "shop/a", "--to", "web.shop:80")


def test_two_pods_cannot_listen_on_one_port_of_their_node(lab: Lab) -> None:
    """A host-network pod and a program of the node: reported by pod and port, and nothing is left."""
    listening = pod("a", on="n1", host=True, tcp=8080)
    twin = pod("b", on="n1", host=True, tcp=8080)
    said = lab.fail("up", "-f", lab.file(listening, twin), "--driver", "plain")
    assert "8080 TCP of node n1 is Pod shop/a's already" in said


def offered(lab: Lab, *words: str) -> list[str]:
    """What a bash shell is offered for the last of these words."""
    line = ["twinway", "lab", *words]
    asked = {
        "_TWINWAY_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    program = [sys.executable, "-c", "from twinway.cli.main import main; main()"]
    done = subprocess.run(
        program, env=lab.environment | asked, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.split()


def test_the_shell_completes_what_there_is(lab: Lab) -> None:
    """Places and nodes of the lab that is named, labs, drivers; nothing of a lab that is not there."""
    lab.up(pod("a"), pod("b"))
    named = ("--name", lab.name)
    assert offered(lab, "probe", *named, "--from", "") == ["shop/a", "shop/b", "node/n1", "node/n2", "external"]
    assert offered(lab, "exec", *named, "shop/") == ["shop/a", "shop/b"]
    assert offered(lab, "agent", "restart", *named, "n") == ["node/n1", "node/n2"]
    assert lab.name in offered(lab, "down", "--name", "test-")
    assert {"plain", "other"} <= set(offered(lab, "driver", ""))
    assert {"plain", "other"} <= set(offered(lab, "up", "--driver", ""))
    assert offered(lab, "up", "--pod-device", "v") == ["veth"]
    assert offered(lab, "exec", "--name", "nobody", "") == []


def test_every_command_says_in_a_line_what_it_did(lab: Lab, tmp_path: Path) -> None:
    """Success, and also that there was nothing to do."""
    one, two, empty = lab.file(pod("a")), lab.file(pod("b")), tmp_path / "empty"
    empty.mkdir()
    assert "there is no lab" in lab.do("down")
    lab.up(pod("a"))
    assert lab.do("apply", "-f", one) == "applied 1 object (0 new, 0 changed, 1 unchanged): in force on 2 nodes\n"
    assert lab.do("apply", "-f", one, two).startswith("applied 2 objects (1 new, 0 changed, 1 unchanged)")
    done = lab.run("apply", "-f", str(empty))
    assert done.stdout == "nothing to apply: there is no object that the lab uses\n"
    assert done.stderr == f"note: {empty}: is empty: there is no file *.yaml, *.yml, *.json in it\n"
    assert lab.do("delete", "-f", two) == "deleted 1 object: in force on 2 nodes\n"
    assert lab.do("delete", "-f", two) == "nothing to delete: 1 object not in the lab\n"
    assert lab.do("sync", "-f", two).startswith(
        "the lab holds this 1 object (1 new, 0 changed, 0 unchanged, 1 deleted)"
    )
    assert lab.do("agent", "restart", "node/n1") == "node/n1: the agent has its state in force\n"
    assert lab.do("driver", "other") == f"lab {lab.name}: driver other on 2 nodes\n"
    assert lab.do("down") == f"lab {lab.name} is down\n"
