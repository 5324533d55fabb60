"""The verbs, over a real registry and a status that the test sets."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cni.requests import NETNS, TERWAY_RESULT, config, environment, message
from tests.unit.states import attachment, state
from twinway.attachments import Attachments
from twinway.cni.verbs import Answer, Verbs
from twinway.driver import Health
from twinway.model.node import Attachment
from twinway.status import Board, Status


class Node:
    """Registry, board and verbs; every attachment comes into force at once, unless held back."""

    def __init__(self, folder: Path, wait_seconds: float) -> None:
        self.board = Board(Status(node="n1", driver="fake", pid=1, health=Health(ok=True, detail="")))
        self.held_back = False
        self.attachments = Attachments(folder, self._changed)
        self.verbs = Verbs(self.attachments, self.board, wait_seconds=wait_seconds)
        self.put_in_force(())

    def _changed(self) -> None:
        if not self.held_back:
            self.put_in_force(self.attachments.current())

    def put_in_force(self, attachments: tuple[Attachment, ...]) -> None:
        """A state with these pods is applied."""
        self.board.update(state=state("v", attachments=attachments), complete=True)

    def ask(self, verb: str, stdin: Any = None, **env: str | None) -> Answer:
        """The answer to one request."""
        return self.verbs.answer(message(environment(verb, **env), config() if stdin is None else stdin))

    def refusal(self, verb: str, stdin: Any = None, **env: str | None) -> dict[str, Any]:
        """The error object of a request that must fail."""
        answer = self.ask(verb, stdin, **env)
        assert answer.status == 1
        return json.loads(answer.stdout)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path, wait_seconds=0.05)


def test_add_echoes_the_result_before(node: Node) -> None:
    """ADD answers with prevResult as it came: nothing added, nothing lost, in the same order."""
    answer = node.ask("ADD")
    assert answer.status == 0
    assert answer.stdout == json.dumps(TERWAY_RESULT)
    assert [item.pod.name for item in node.attachments.current()] == ["web"]


def test_result_without_a_version_gets_the_configs(node: Node) -> None:
    """A prevResult that carries no version is answered in the config's: runtimes insist on one."""
    result = {"ips": [{"address": "10.0.0.11/24"}], "x-vendor": [1.0, 2**70]}
    answer = node.ask("ADD", config("1.0.0", prevResult=result))
    assert json.loads(answer.stdout) == {"cniVersion": "1.0.0", **result}


def test_add_waits_until_in_force(tmp_path: Path) -> None:
    """ADD returns only after the pod's state has been applied."""
    node = Node(tmp_path, wait_seconds=30.0)
    node.held_back = True
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(node.ask("ADD")))
    thread.start()
    node.board.update(error="map full")  # news, but not the ones that ADD waits for
    assert not answers
    while not node.attachments.current():
        thread.join(0.001)
    node.put_in_force(node.attachments.current())
    thread.join(10)
    assert [answer.status for answer in answers] == [0]


def test_add_gives_up_with_the_reason(node: Node) -> None:
    """An ADD that is not in force in time fails with code 11 and why, and leaves nothing behind."""
    node.held_back = True
    node.board.update(error="map tw_policy_v1: full: raise its size")
    error = node.refusal("ADD")
    assert error["code"] == 11
    assert error["cniVersion"] == "0.4.0"
    assert error["msg"] == "pod shop/web: not in force after 0.05 s: map tw_policy_v1: full: raise its size"
    assert node.attachments.current() == ()


def test_add_before_the_first_complete_state(node: Node) -> None:
    """While lists are still coming in, no pod is said to be safe."""
    node.held_back = True
    node.board.update(complete=False)
    assert "not complete yet" in node.refusal("ADD")["msg"]


WRONG_PLACES = [
    pytest.param(
        {"CNI_NETNS": "/run/netns/gone-for-good"}, "CNI_NETNS: /run/netns/gone-for-good does not exist", id="gone"
    ),
    pytest.param({"CNI_NETNS": "/etc/hostname"}, "CNI_NETNS: /etc/hostname is no network namespace", id="file"),
    pytest.param({"CNI_NETNS": "/run"}, "CNI_NETNS: /run is no network namespace", id="folder"),
    pytest.param(
        {"CNI_NETNS": "/proc/self/ns/mnt"},
        "CNI_NETNS: /proc/self/ns/mnt is no network namespace",
        id="mount namespace",
    ),
    pytest.param(
        {"CNI_NETNS": "/proc/self/ns/net"},
        "CNI_NETNS: /proc/self/ns/net is the agent's own network",
        id="the agent's own",
    ),
    pytest.param({"CNI_IFNAME": "eth9"}, f"CNI_IFNAME: there is no interface eth9 in {NETNS}", id="interface"),
]


@pytest.mark.parametrize(("changes", "words"), WRONG_PLACES)
@pytest.mark.parametrize("container", ["c1", "c2"])
def test_add_into_a_wrong_place(node: Node, changes: dict[str, str], words: str, container: str) -> None:
    """It is refused before anything is recorded: what the pod has, by this container or another, stays."""
    assert node.ask("ADD").status == 0
    before = node.attachments.current()
    error = node.refusal("ADD", CNI_CONTAINERID=container, **changes)
    assert (error["code"], error["msg"][: len(words)]) == (4, words)
    assert node.attachments.current() == before
    assert node.ask("CHECK") == Answer(0, "")


def test_add_leaves_the_agent_where_it_is(node: Node) -> None:
    """The look into the pod's namespace is another thread's, which ends with it."""
    here = Path("/proc/thread-self/ns/net").stat().st_ino
    threads = threading.active_count()
    for _ in range(20):
        node.ask("ADD")
        node.refusal("ADD", CNI_IFNAME="eth9")
    assert Path("/proc/thread-self/ns/net").stat().st_ino == here
    assert threading.active_count() == threads


@pytest.mark.parametrize("container", ["c1", "c2"])
def test_add_that_fails_gives_back_what_was_there(node: Node, container: str) -> None:
    """Also where it had the same container and interface."""
    node.ask("ADD")
    before = node.attachments.current()
    node.held_back = True
    moved = config(prevResult={**TERWAY_RESULT, "ips": [{"address": "10.0.0.99/24"}]})
    assert node.refusal("ADD", moved, CNI_CONTAINERID=container)["code"] == 11
    assert node.attachments.current() == before


def test_check_of_an_interface_that_is_gone(node: Node) -> None:
    """What is in force of it helps nobody."""
    request = {"CNI_IFNAME": "brief"}
    netns = ["ip", "-n", NETNS.rpartition("/")[2], "link"]
    subprocess.run([*netns, "add", "brief", "type", "veth", "peer", "name", "brief2"], check=True)
    assert node.ask("ADD", **request).status == 0
    assert node.ask("CHECK", **request) == Answer(0, "")
    subprocess.run([*netns, "del", "brief"], check=True)
    error = node.refusal("CHECK", **request)
    assert (error["code"], "no interface brief" in error["msg"]) == (4, True)
    assert node.ask("DEL", **request) == Answer(0, "")


def test_gc_that_cannot_be_written(node: Node, tmp_path: Path) -> None:
    """It fails with code 5 and the place, like an ADD."""
    node.ask("ADD")
    (tmp_path / "c1.eth0.json").unlink()
    (tmp_path / "c1.eth0.json").mkdir()
    valid: dict[str, Any] = {"cni.dev/valid-attachments": []}
    assert node.refusal("GC", config("1.1.0", prevResult=None, **valid))["code"] == 5


def test_second_add_is_the_same(node: Node) -> None:
    """The same ADD again answers the same."""
    assert node.ask("ADD") == node.ask("ADD")


def test_check(node: Node) -> None:
    """CHECK succeeds, silently, for what was added and is in force."""
    node.ask("ADD")
    assert node.ask("CHECK") == Answer(0, "")


def test_check_tells_what_is_wrong(node: Node) -> None:
    """CHECK refuses a stranger, other addresses, and what is not in force any more."""
    assert node.refusal("CHECK")["code"] == 3
    node.ask("ADD")
    moved = config(prevResult={**TERWAY_RESULT, "ips": [{"address": "10.0.0.99/24"}]})
    assert node.refusal("CHECK", moved)["code"] == 7
    node.put_in_force(())
    assert node.refusal("CHECK")["code"] == 11


@pytest.mark.parametrize("stdin", [b"", b"junk", config(prevResult=None), config("9.9.9")])
@pytest.mark.parametrize("changes", [{}, {"CNI_NETNS": ""}, {"CNI_NETNS": None}, {"CNI_ARGS": None}])
def test_del_always_succeeds(node: Node, stdin: Any, changes: dict[str, str | None]) -> None:
    """DEL forgets the pod whatever else the request lacks, and again, and for strangers."""
    node.ask("ADD")
    for _ in range(2):
        assert node.ask("DEL", stdin, **changes) == Answer(0, "")
    assert node.attachments.current() == ()


def test_del_without_a_container_succeeds(node: Node) -> None:
    """A DEL that names no container does nothing, successfully."""
    node.ask("ADD")
    assert node.ask("DEL", CNI_CONTAINERID="../x") == Answer(0, "")
    assert len(node.attachments.current()) == 1


def test_gc(node: Node) -> None:
    """GC forgets what the runtime does not list."""
    node.ask("ADD")
    node.attachments.add(attachment("db", "c2"))
    valid = {"cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "eth0"}]}
    assert node.ask("GC", config("1.1.0", prevResult=None, **valid)) == Answer(0, "")
    assert [item.container_id for item in node.attachments.current()] == ["c2"]


def test_status_of_a_well_node(node: Node) -> None:
    """STATUS of a node that can take pods is silent."""
    assert node.ask("STATUS", config("1.1.0")) == Answer(0, "")


def test_status_tells_what_is_wrong(node: Node) -> None:
    """STATUS says that ADDs would fail (50), or that traffic does (51)."""
    node.board.update(health=Health(ok=False, detail="hook gone"))
    assert node.refusal("STATUS", config("1.1.0"))["code"] == 51
    node.board.update(error="map full")
    error = node.refusal("STATUS", config("1.1.0"))
    assert (error["code"], error["msg"]) == (50, "pods cannot be added now: map full")


def test_unknown_verb(node: Node) -> None:
    """A verb that nobody knows is refused by name."""
    assert node.refusal("EXPLODE")["msg"] == "CNI_COMMAND: 'EXPLODE' is unknown"


def test_registry_that_cannot_be_written(node: Node, tmp_path: Path) -> None:
    """An ADD that cannot be recorded fails with code 5 and the place."""
    (tmp_path / "c1.eth0.json").mkdir()
    error = node.refusal("ADD")
    assert error["code"] == 5
    assert "make it writable or choose another" in error["msg"]


def test_cut_message(node: Node) -> None:
    """A message that is no request gets an error result, too."""
    answer = node.verbs.answer(b"CNI_COMMAND=ADD")
    assert answer.status == 1
    assert json.loads(answer.stdout)["code"] == 5
