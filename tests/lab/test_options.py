"""Keys of a node config that a lab passes on to every node's agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.labs import Lab
from tests.lab.objects import node, pod


def configs(lab: Lab) -> list[dict[str, object]]:
    """The configs that the agents were given."""
    return [json.loads(path.read_text()) for path in Path("/run/twinway/lab", lab.name).glob("nodes/*/node.json")]


def test_every_node_is_told(lab: Lab, tmp_path: Path) -> None:
    """Of later nodes, too, and after a change of driver; what the lab itself says is not overruled."""
    path = tmp_path / "node.yaml"
    path.write_text("resync_seconds: 7\nnode_name: nobody\nlog: {level: debug}\n")
    files = lab.file(node("n1"), pod("a", on="n1"))
    lab.do("up", "-f", files, "--driver", "plain", "--node-config", str(path))
    lab.do("apply", "-f", lab.file(node("n2")))
    lab.do("driver", "other")
    given = configs(lab)
    assert sorted(str(each["node_name"]) for each in given) == ["n1", "n2"]
    assert [(each["resync_seconds"], each["log"], each["driver"]) for each in given] == [
        (7.0, {"level": "debug"}, "other")
    ] * 2


def test_driver_and_device_of_the_config_count(lab: Lab, tmp_path: Path) -> None:
    """Where the command names none."""
    path = tmp_path / "node.yaml"
    path.write_text("driver: other\npod_device: macvlan\n")
    lab.do("up", "-f", lab.file(node("n1")), "--node-config", str(path))
    assert [lab.status()[key] for key in ("driver", "pod_device")] == ["other", "macvlan"]
    lab.do("down")
    words = ("--node-config", str(path), "--driver", "plain", "--pod-device", "veth")
    lab.do("up", "-f", lab.file(node("n1")), *words)
    assert [lab.status()[key] for key in ("driver", "pod_device")] == ["plain", "veth"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("resync: 7", "resync"),
        ("drivers: {plain: {colour: red}}", "drivers.plain.colour"),
        ("drivers: {plane: {}}", "plane"),
    ],
)
def test_bad_key_is_refused(lab: Lab, tmp_path: Path, text: str, fault: str) -> None:
    """Before anything is made: the file, the key, what to do."""
    path = tmp_path / "node.yaml"
    path.write_text(text)
    words = lab.fail("up", "-f", lab.file(pod("a")), "--node-config", str(path))
    assert fault in words
    assert lab.traces() == []
