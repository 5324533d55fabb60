"""The client of the lab's command line: what it runs, what it reads, and that it cleans up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twinway_conformance.lab import Lab, LabError, Labs
from twinway_conformance.objects import Object
from twinway_conformance.probes import Query

THING: Object = {"kind": "Namespace", "metadata": {"name": "shop"}}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A stand-in for `twinway`: it writes its words down, and prints what the file `answer` holds."""
    script = tmp_path / "twinway"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/words\n[ -f {tmp_path}/fail ] && '
        f"{{ echo no such pod >&2; exit 1; }}\ncat {tmp_path}/answer 2>/dev/null || true\n"
    )
    script.chmod(0o755)
    return script


@pytest.fixture
def lab(program: Path, tmp_path: Path) -> Lab:
    return Lab(str(program), "one", tmp_path)


def said(tmp_path: Path) -> list[str]:
    return (tmp_path / "words").read_text().splitlines()


def test_commands(lab: Lab, tmp_path: Path) -> None:
    """Each method is one command, the lab's name before a command's own words."""
    lab.up([THING], "tc", "veth")
    lab.sync([THING])
    lab.execute("shop/client", "ip", "address", "--name")
    lab.agent("kill", "node/n1")
    lab.driver("sockops")
    lab.down()
    assert [line.replace(str(tmp_path), "") for line in said(tmp_path)] == [
        "lab up -f /0001.yaml --driver tc --pod-device veth --name one",
        "lab sync -f /0002.yaml --name one",
        "lab exec shop/client --name one -- ip address --name",
        "lab agent kill node/n1 --name one",
        "lab driver sockops --name one",
        "lab down --name one",
    ]
    assert json.loads((tmp_path / "0001.yaml").read_text()) == THING


def test_batch_hands_out_answers(lab: Lab, tmp_path: Path) -> None:
    """Answers are handed to the queries in order, `count` of them each; the batch file is the contract's."""
    words = [
        {
            "from": "a",
            "to": "b",
            "protocol": "tcp",
            "outcome": outcome,
            "backend": None,
            "observed_source": None,
            "rtt_ms": None,
        }
        for outcome in ("connected", "dropped", "rejected")
    ]
    (tmp_path / "answer").write_text(json.dumps(words))
    answers = lab.batch([Query("a/b", "10.0.0.1:80", count=2), Query("a/b", "10.0.0.1:53", "udp", payload=9)])
    assert [[one.outcome for one in each] for each in answers] == [["connected", "dropped"], ["rejected"]]
    asked = [json.loads(line) for line in (tmp_path / "0001.jsonl").read_text().splitlines()]
    assert asked[1] == {
        "from": "a/b",
        "to": "10.0.0.1:53",
        "protocol": "udp",
        "count": 1,
        "timeout": 3.0,
        "payload-size": 9,
    }


def test_story_is_what_leads_here(lab: Lab) -> None:
    """The story is the lab's beginning and all since its last sync; questions about it are left out."""
    lab.up([THING], "tc", "veth")
    lab.sync([THING])
    lab.apply(THING)
    lab.sync([THING])
    lab.delete(THING)
    assert [line.split()[2] for line in lab.story().splitlines()] == ["up", "sync", "delete"]


def test_failure_is_told(lab: Lab, tmp_path: Path) -> None:
    """The error of a command that fails has its output, also where that is not JSON."""
    with pytest.raises(LabError, match="did not print JSON"):
        lab.matrix()
    (tmp_path / "fail").touch()
    with pytest.raises(LabError, match=r"lab exec shop/nobody .* ended with 1: no such pod"):
        lab.execute("shop/nobody", "true")


def test_one_lab_at_a_time(program: Path, tmp_path: Path) -> None:
    """The same kind of lab is shared; another takes its place; at the end none is left, nor its folder."""
    with Labs(str(program)) as labs:
        first = labs.get("tc", "veth", [THING])
        assert labs.get("tc", "veth", [THING]) is first
        assert labs.get("tc", "macvlan", [THING]) is not first
        folder = labs.folder
    assert [line.split()[1] for line in said(tmp_path)] == ["up", "down", "up", "down"]
    assert not folder.exists()


def test_broken_lab_is_remembered(program: Path, tmp_path: Path) -> None:
    """A lab that cannot be brought up is tried once, taken down, and said again to each test."""
    (tmp_path / "fail").touch()
    with Labs(str(program), keep=tmp_path / "kept") as labs:
        for _ in range(2):
            with pytest.raises(LabError, match="no such pod"):
                labs.get("tc", "veth", [THING])
    assert [line.split()[1] for line in said(tmp_path)] == ["up", "down"]
