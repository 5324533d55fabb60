"""Processes of the lab, forked from the command itself: no interpreter starts, and none leaves its cgroup."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from twinway.errors import LabError, TwinwayError
from twinway_lab.names import NETNS_DIR
from twinway_lab.network import syscalls
from twinway_lab.nodes import cgroups

_WORKERS = 4
Body = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Container:
    """The cgroup and the network namespace that a process runs in, and its log."""

    group: Path
    netns: str
    log: Path
    """Standard output and error are appended to it."""


def start(container: Container, body: Body, *, keep: Sequence[int] = ()) -> int:
    """
    Start a process that runs `body` in `container` and ends with it; return its id.

    When this returns, the process is in its cgroup. Until then it holds every descriptor of this command, the
    lab's lock among them: if this command is killed, whoever gets the lock next finds the process in its cgroup.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(container, body, frozenset(keep))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        pipe.read()  # ends when the child has closed its descriptors
    return pid


def _child(container: Container, body: Body, keep: frozenset[int]) -> NoReturn:
    status = 1
    try:
        cgroups.join(container.group)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        syscalls.enter_netns(NETNS_DIR / container.netns)
        os.chdir("/")
        _redirect(container.log)
        _close_all_but(keep)
        gc.freeze()  # what came with the fork stays in shared pages
        body()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(log: Path) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)


def _close_all_but(keep: frozenset[int]) -> None:
    numbers = [int(path.name) for path in Path("/proc/self/fd").iterdir()]
    for number in set(numbers) - keep - {0, 1, 2}:
        with suppress(OSError):  # the descriptor of the listing itself is closed already
            os.close(number)


def start_ready(container: Container, body: Callable[[Callable[[], None]], object]) -> Callable[[], None]:
    """
    Start `body(ready)`; the answer waits until it has called `ready()`, and raises `LabError` if it never will.

    Starting many and then waiting for each lets them come up side by side.
    """
    reading, writing = os.pipe()

    def ready(error: str = "") -> None:
        os.write(writing, error.encode() or b"\0")
        os.close(writing)

    def run() -> None:
        try:
            body(ready)
        except TwinwayError as error:
            ready(str(error))

    start(container, run, keep=(writing,))
    os.close(writing)

    def wait() -> None:
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        if said != b"\0":
            raise LabError(said.decode() or f"a process of the lab has ended at once; see {container.log}")

    return wait


def side_by_side(jobs: Sequence[tuple[Container, Callable[[], Any]]]) -> list[Any]:
    """
    What the jobs answer (JSON values), each run in a process of its own, a few at a time.

    Raises `LabError` with the first job's words that failed, when all have ended.
    """
    answers: list[Any] = []
    running: list[tuple[int, int]] = []
    for container, job in jobs:
        if len(running) == _WORKERS:
            answers.append(_answer(*running.pop(0)))
        running.append(_worker(container, job))
    answers += [_answer(*each) for each in running]
    for answer in answers:
        if "error" in answer:
            raise LabError(answer["error"])
    return [answer["value"] for answer in answers]


def _worker(container: Container, job: Callable[[], Any]) -> tuple[int, int]:
    reading, writing = os.pipe()

    def run() -> None:
        try:
            answer = {"value": job()}
        except TwinwayError as error:
            answer = {"error": str(error)}
        with os.fdopen(writing, "w") as pipe:
            json.dump(answer, pipe)

    pid = start(container, run, keep=(writing,))
    os.close(writing)
    return pid, reading


def _answer(pid: int, reading: int) -> dict[str, Any]:
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    answer: dict[str, Any] = json.loads(said) if said else {"error": "a process of the lab was killed"}
    return answer
