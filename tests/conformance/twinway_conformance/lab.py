"""A thin client of `twinway lab`. Each method is one command of its contract; nothing else is used."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from twinway_conformance.commands import Cold, Commands
from twinway_conformance.objects import Object
from twinway_conformance.probes import ANSWER_SECONDS, Answer, Query


class LabError(Exception):
    """A command of the lab broke its contract. `str()` has the command and its output."""


class Lab:
    """
    One lab, by name. It records its commands: `story` reproduces the lab's state.

    `slow` multiplies every time limit, for example under emulation. `program` stands in recorded commands, and
    runs them unless `commands` is given. `node_config` is the node config of every agent.
    """

    def __init__(
        self,
        program: str,
        name: str,
        folder: Path,
        slow: float = 1.0,
        *,
        commands: Commands | None = None,
        node_config: Path | None = None,
    ) -> None:
        self.program, self.name, self.folder, self.slow = program, name, folder, slow
        self._node_config = node_config
        self._commands = commands or Cold(program)
        self._story: list[str] = []
        self._files = 0

    # Objects in the lab

    def up(self, objects: Sequence[Object], driver: str, device: str) -> None:
        """Create the lab with these objects."""
        words = ["-f", self._manifest(objects), "--driver", driver, "--pod-device", device]
        if self._node_config is not None:
            words += ["--node-config", str(self._node_config)]
        self._story = []
        self.run("up", *words)

    def apply(self, *objects: Object, bad_policies: bool = False) -> None:
        """Put objects in force on every node. With `bad_policies`, faulty policies are passed to the agents."""
        self.run("apply", *(["--bad-policies"] if bad_policies else []), "-f", self._manifest(objects))

    def refused(self, *objects: Object) -> str:
        """The message of `apply` about objects that it refuses."""
        return self.run("apply", "-f", self._manifest(objects), fail=True, record=False).stderr

    def delete(self, *objects: Object) -> None:
        """Delete objects, and wait until they are gone from every node."""
        self.run("delete", "-f", self._manifest(objects))

    def sync(self, objects: Sequence[Object]) -> None:
        """Make these the only objects of the lab. The story begins again."""
        self._story = self._story[:1]
        self.run("sync", "-f", self._manifest(objects))

    def down(self) -> None:
        """Take the lab down."""
        self.run("down", record=False)

    # Probes

    def batch(self, queries: Sequence[Query]) -> list[list[Answer]]:
        """The `count` answers to each query. Queries run at the same time."""
        if not queries:
            return []
        lines = "".join(json.dumps(query.line(self.slow)) + "\n" for query in queries)
        words = iter(self.json("probe", "--batch", self._file("jsonl", lines)))
        return [[Answer.of(next(words)) for _ in range(query.count)] for query in queries]

    def matrix(self) -> dict[tuple[str, str, str], Answer]:
        """(from, to, protocol) → answer, from every pod to every address and declared port of the others."""
        patience = () if self.slow == 1.0 else ("--timeout", f"{ANSWER_SECONDS * self.slow:g}")
        answers = self.json("matrix", *patience)
        return {(words["from"], words["to"], words["protocol"]): Answer.of(words) for words in answers}

    def status(self) -> dict[str, Any]:
        """The lab's status."""
        answer: dict[str, Any] = self.json("status")
        return answer

    # Commands

    def execute(self, place: str, *command: str) -> str:
        """Run a command at `place` and return its output."""
        return self.run("exec", place, "--", *command).stdout

    def start(self, place: str, *command: str) -> subprocess.Popen[str]:
        """Start a command at `place`, with pipes for its input and output."""
        line = self._command("exec", place, "--", *command)
        self._story.append(shlex.join(line))
        return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def agent(self, verb: str, node: str) -> None:
        """Kill, start or restart the agent of `node/NAME`."""
        self.run("agent", verb, node)

    def driver(self, name: str) -> None:
        """Change every node to this driver."""
        self.run("driver", name)

    def run(
        self, verb: str, *words: str, fail: bool = False, record: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of the lab. Raises `LabError` unless its exit status is 0 (with `fail`: 1)."""
        line = self._command(verb, *words)
        if record:
            self._story.append(shlex.join(line))
        try:
            done = self._commands.run(line[1:], 120 * self.slow)
        except subprocess.TimeoutExpired:
            raise LabError(f"`{shlex.join(line)}` has not ended after {120 * self.slow:g} s") from None
        if done.returncode != (1 if fail else 0):
            output = (done.stderr or done.stdout).strip()[-600:]
            raise LabError(f"`{shlex.join(line)}` ended with {done.returncode}: {output}")
        return done

    def json(self, verb: str, *words: str) -> Any:
        """The JSON output of one command of the lab."""
        done = self.run(verb, *words, "--json", record=verb != "status")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise LabError(
                f"`lab {verb} {' '.join(words)} --json` did not print JSON: {done.stdout[:300]!r}"
            ) from None

    # The story

    def story(self) -> str:
        """The commands since the lab was created or synced, one on each line."""
        return "\n".join(self._story)

    def _command(self, verb: str, *words: str) -> list[str]:
        cut = words.index("--") if "--" in words else len(words)
        return [self.program, "lab", verb, *words[:cut], "--name", self.name, *words[cut:]]

    def _manifest(self, objects: Sequence[Object]) -> str:
        return self._file("yaml", "\n---\n".join(json.dumps(thing) for thing in objects))

    def _file(self, ending: str, text: str) -> str:
        self._files += 1
        path = self.folder / f"{self._files:04}.{ending}"
        path.write_text(text)
        return str(path)


class Labs:
    """
    The lab that tests share. There is one at a time, for one driver and device; another pair replaces it.

    A context manager, which takes the lab down when it exits.
    """

    def __init__(
        self,
        program: str,
        *,
        keep: Path | None = None,
        slow: float = 1.0,
        commands: Commands | None = None,
        node_config: Path | None = None,
    ) -> None:
        self.program, self.slow, self._node_config = program, slow, node_config
        self._commands = commands or Cold(program)
        self.folder = keep or Path(tempfile.mkdtemp(prefix="twinway-conformance-"))
        self._kind: tuple[str, str] | None = None
        self._lab: Lab | None = None
        self._broken: dict[tuple[str, str], LabError] = {}
        self._keep = keep is not None
        self.failed = False
        """Whether a test failed. The manifests that its story names are then kept."""

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._commands.close()
        if not (self._keep or self.failed):
            shutil.rmtree(self.folder)

    def get(self, driver: str, device: str, objects: Sequence[Object]) -> Lab:
        """The lab of this driver and device, created with `objects` if needed. A failure is raised again later."""
        kind = (driver, device)
        if kind in self._broken:
            raise self._broken[kind]
        if self._lab is None or self._kind != kind:
            self.close()
            name = f"conformance-{os.getpid()}"
            lab = Lab(
                self.program,
                name,
                self.folder,
                self.slow,
                commands=self._commands,
                node_config=self._node_config,
            )
            self._lab, self._kind = lab, kind
            try:
                lab.up(objects, driver, device)
            except LabError as failure:
                self._broken[kind] = failure
                self.close()
                raise
        return self._lab

    def story(self) -> str:
        """The commands that led to the state of the present lab, one on each line."""
        return self._lab.story() if self._lab else ""

    def close(self) -> None:
        """Take the present lab down."""
        lab, self._lab, self._kind = self._lab, None, None
        if lab is not None:
            lab.down()
