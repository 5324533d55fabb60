"""How the suite runs commands of `twinway`: each in a process of its own, from cold or from warm."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from subprocess import CompletedProcess, TimeoutExpired
from typing import IO, Protocol


class Commands(Protocol):
    """Runs one command to its end."""

    def run(self, words: Sequence[str], seconds: float) -> CompletedProcess[str]:
        """What came of it; raises `TimeoutExpired` where it has not ended by then."""

    def close(self) -> None:
        """Nothing of it is left running."""


class Cold:
    """A program, started for each command."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, words: Sequence[str], seconds: float) -> CompletedProcess[str]:
        """What came of `program WORDS`."""
        line = [self.program, *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False)

    def close(self) -> None:
        """Nothing is left running."""


class Warm:
    """The `twinway` of this Python, in forks of one process that has imported it; see `warm.py`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, words: Sequence[str], seconds: float) -> CompletedProcess[str]:
        """What came of `twinway WORDS`."""
        asked, answers = self._pipes()
        asked.write(json.dumps({"words": words, "seconds": seconds}) + "\n")
        asked.flush()
        said = json.loads(answers.readline())
        if said["status"] == -signal.SIGALRM:
            raise TimeoutExpired(list(words), seconds)
        return CompletedProcess(["twinway", *words], said["status"], said["stdout"], said["stderr"])

    def close(self) -> None:
        """Nothing is left running."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        if self._process is None:
            line = [sys.executable, "-m", "twinway_conformance.warm"]
            self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout
