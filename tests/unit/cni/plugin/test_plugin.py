"""The real CNI plugin, against the agent's real CNI server, and without one."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cni.plugin.conftest import SOURCES
from tests.unit.cni.requests import TERWAY_RESULT, config, environment
from tests.unit.states import state
from twinway.attachments import Attachments
from twinway.cni.server import CniServer
from twinway.cni.verbs import Verbs
from twinway.driver import Health
from twinway.status import Board, Status

Result = subprocess.CompletedProcess[str]


class Runtime:
    """Calls the plugin as a container runtime does."""

    def __init__(self, plugin: Path, run_dir: Path) -> None:
        self.plugin = plugin
        self.run_dir = run_dir

    def call(self, verb: str, stdin: Any = None, **changes: str | None) -> Result:
        """One call; the environment holds what the runtime sets, and nothing else."""
        env = environment(verb, **{"TWINWAY_SOCKET": str(self.run_dir / "cni.sock"), **changes})
        text = stdin if isinstance(stdin, str) else json.dumps(config() if stdin is None else stdin)
        return subprocess.run(
            [self.plugin], env=env, input=text, capture_output=True, text=True, timeout=60, check=False
        )

    @property
    def notes(self) -> list[str]:
        """Names of the notes left for the agent."""
        folder = self.run_dir / "deleted"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def runtime(plugin: Path, tmp_path: Path) -> Runtime:
    return Runtime(plugin, tmp_path)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Attachments]:
    """A serving agent's registry: every attachment is in force at once."""
    board = Board(Status(node="n1", driver="fake", pid=1, health=Health(ok=True, detail="")))

    def changed() -> None:
        board.update(state=state("v", attachments=attachments.current()), complete=True)

    attachments = Attachments(tmp_path / "attachments", changed)
    changed()
    server = CniServer(tmp_path / "cni.sock", Verbs(attachments, board, wait_seconds=5.0))
    server.start()
    yield attachments
    server.close()


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[list[bytes]]:
    """An agent that answers each request with the next bytes of the list, whatever is asked."""
    answers: list[bytes] = []
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "cni.sock"))
    listening.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while connection.recv(65536):
                    pass
                connection.sendall(answers.pop(0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield answers
    listening.shutdown(socket.SHUT_RDWR)
    thread.join()
    listening.close()


def test_binary_needs_nothing_of_its_host(plugin: Path) -> None:
    """The binary is static: it names no interpreter."""
    content = plugin.read_bytes()
    assert content.startswith(b"\x7fELF")
    assert b"/ld-" not in content


def test_add_check_del(runtime: Runtime, registry: Attachments) -> None:
    """A pod comes, is checked and goes, through the real binary and the real server."""
    added = runtime.call("ADD")
    assert (added.returncode, json.loads(added.stdout), added.stderr) == (0, TERWAY_RESULT, "")
    assert [item.pod.name for item in registry.current()] == ["web"]
    checked = runtime.call("CHECK")
    assert (checked.returncode, checked.stdout) == (0, "")
    gone = runtime.call("DEL")
    assert (gone.returncode, gone.stdout) == (0, "")
    assert registry.current() == ()
    assert runtime.notes == []


def test_refusal_of_the_agent_is_passed_on(runtime: Runtime, registry: Attachments) -> None:
    """What the agent refuses is printed as it says, with exit status 1."""
    refused = runtime.call("ADD", config(prevResult=None))
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["code"] == 7
    assert registry.current() == ()


def test_large_config_passes_whole(runtime: Runtime, registry: Attachments) -> None:
    """A config of half a megabyte comes back whole."""
    result = {**TERWAY_RESULT, "vendor": "x" * 500_000}
    added = runtime.call("ADD", config(prevResult=result))
    assert json.loads(added.stdout) == result


def test_many_at_once(runtime: Runtime, registry: Attachments) -> None:
    """Twenty pods at once are each answered."""
    results: list[Result] = []

    def add(index: int) -> None:
        arguments = f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME=pod-{index}"
        results.append(runtime.call("ADD", CNI_CONTAINERID=f"c{index}", CNI_ARGS=arguments))

    threads = [threading.Thread(target=add, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0] * 20
    assert len(registry.current()) == 20


@pytest.mark.parametrize("version", ["0.3.1", "1.1.0"])
def test_version_needs_no_agent(runtime: Runtime, version: str) -> None:
    """VERSION is answered without an agent, in the version that was asked in."""
    answer = runtime.call("VERSION", {"cniVersion": version})
    assert json.loads(answer.stdout) == {
        "cniVersion": version,
        "supportedVersions": ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
    }


@pytest.mark.parametrize(("verb", "code"), [("ADD", 11), ("CHECK", 11), ("GC", 11), ("STATUS", 50)])
def test_agent_away(runtime: Runtime, verb: str, code: int) -> None:
    """Without an agent a request fails with the specification's "try again", and says where it looked."""
    refused = runtime.call(verb)
    error = json.loads(refused.stdout)
    assert (refused.returncode, error["code"], error["cniVersion"]) == (1, code, "0.4.0")
    assert str(runtime.run_dir / "cni.sock") in error["msg"]
    assert "No such file or directory: is it running on this node?" in error["msg"]


@pytest.mark.parametrize("stdin", [config(), "", "junk", "x" * (1 << 20)])
def test_del_with_the_agent_away_leaves_a_note(runtime: Runtime, stdin: Any) -> None:
    """DEL succeeds without an agent, whatever stdin holds, and leaves one note however often it is asked."""
    for _ in range(2):
        gone = runtime.call("DEL", stdin, CNI_NETNS="")
        assert (gone.returncode, gone.stdout) == (0, "")
    assert runtime.notes == ["c1"]


@pytest.mark.parametrize("container", ["../evil", "a/b", "", None, ".hidden", "-x", "c" * 201, "a b", "ä"])
def test_unsafe_container_leaves_no_note(runtime: Runtime, container: str | None) -> None:
    """An id that is no safe file name is never used as one; DEL succeeds all the same."""
    assert runtime.call("DEL", CNI_CONTAINERID=container).returncode == 0
    assert runtime.notes == []
    assert [path.name for path in runtime.run_dir.parent.glob("evil")] == []


def test_note_does_not_follow_a_link(runtime: Runtime) -> None:
    """A link in the place of a note leads nowhere."""
    (runtime.run_dir / "deleted").mkdir()
    target = runtime.run_dir / "target"
    (runtime.run_dir / "deleted" / "c1").symlink_to(target)
    assert runtime.call("DEL").returncode == 0
    assert not target.exists()


def test_no_run_dir_no_note(plugin: Path, tmp_path: Path) -> None:
    """Where no agent ever ran, DEL succeeds and makes nothing."""
    runtime = Runtime(plugin, tmp_path / "never")
    assert runtime.call("DEL").returncode == 0
    assert not runtime.run_dir.exists()


@pytest.mark.parametrize("answer", [b"", b"junk", b"\n{}", b"0", b"1234\n", b"999\n", b"-1\n", b"0 \n"])
def test_nonsense_from_the_agent(runtime: Runtime, answering: list[bytes], answer: bytes) -> None:
    """An answer that is none counts as an agent that is away."""
    answering += [answer, answer]
    error = json.loads(runtime.call("ADD").stdout)
    assert (error["code"], "ended before it answered" in error["msg"]) == (11, True)
    assert runtime.call("DEL").returncode == 0
    assert runtime.notes == ["c1"]


@pytest.mark.parametrize(
    ("answer", "status", "stdout"), [(b"0\n", 0, ""), (b"3\n{}", 3, "{}"), (b"255\nx\n", 255, "x\n")]
)
def test_answer_is_passed_on(
    runtime: Runtime, answering: list[bytes], answer: bytes, status: int, stdout: str
) -> None:
    """Exit status and output are those of the answer."""
    answering.append(answer)
    result = runtime.call("ADD")
    assert (result.returncode, result.stdout) == (status, stdout)


@pytest.mark.parametrize(
    ("stdin", "version"),
    [
        ('{"cniVersion" \n:\t"1.0.0"}', "1.0.0"),
        ('{"cniVersion": 1}', "1.1.0"),
        ('{"cniVersion": "1.0', "1.1.0"),
        ('{"cniVersion": "1.0.0\\", \\"x"}', "1.1.0"),
        ('{"cniVersion": "1111111111111111"}', "1.1.0"),
        ('{"cniVersion": ""}', "1.1.0"),
        ('{"cniVersion', "1.1.0"),
        ("", "1.1.0"),
    ],
)
def test_version_is_copied_only_if_it_is_one(runtime: Runtime, stdin: str, version: str) -> None:
    """An error's cniVersion is the config's where that looks like a version, else the newest."""
    assert json.loads(runtime.call("ADD", stdin).stdout)["cniVersion"] == version


def test_error_stays_json_whatever_the_path(runtime: Runtime) -> None:
    """A socket path with quotes and control characters comes out as a JSON string."""
    refused = runtime.call("ADD", TWINWAY_SOCKET='/no"such\\dir\x01/é')
    assert json.loads(refused.stdout)["msg"].startswith('twinway agent at /no"such\\dir\x01/')


def test_socket_path_that_is_too_long(runtime: Runtime) -> None:
    """A path that no socket can have is reported, not cut."""
    assert "name too long" in json.loads(runtime.call("ADD", TWINWAY_SOCKET="/" + "x" * 200).stdout)["msg"].lower()


def test_too_large_a_config(runtime: Runtime, registry: Attachments) -> None:
    """A config of a megabyte is refused before the agent is asked."""
    refused = runtime.call("ADD", "x" * (1 << 20))
    assert json.loads(refused.stdout)["code"] == 5


def test_called_by_hand(plugin: Path) -> None:
    """Without CNI_COMMAND it says what it is, and is content."""
    result = subprocess.run([plugin], env={}, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")
    assert "a CNI plugin" in result.stderr


def test_killed_agent_is_replaced(runtime: Runtime, registry: Attachments, tmp_path: Path) -> None:
    """A server started on the socket of a dead one takes its place."""
    stale = socket.socket(socket.AF_UNIX)
    path = tmp_path / "stale" / "cni.sock"
    path.parent.mkdir()
    stale.bind(str(path))
    stale.close()
    refused = runtime.call("ADD", TWINWAY_SOCKET=str(path))
    assert "Connection refused" in json.loads(refused.stdout)["msg"]
    board = Board(Status(node="n1", driver="fake", pid=1))
    server = CniServer(path, Verbs(registry, board, wait_seconds=0.01))
    server.start()
    try:
        assert "not in force" in json.loads(runtime.call("ADD", TWINWAY_SOCKET=str(path)).stdout)["msg"]
        assert path.stat().st_mode & 0o777 == 0o600
    finally:
        server.close()


def test_parsers_bear_anything() -> None:
    """200,000 changed samples, under sanitizers: nothing is read or written beside what was given."""
    command = ["make", "--silent", "-C", str(SOURCES), "fuzz", "ROUNDS=200000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.split()[-2:]) == (0, ["200000", "rounds"]), done.stderr
