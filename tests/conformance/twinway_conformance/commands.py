"""Run commands of `twinway`, each in a process of its own: a new program, or a fork of one that is warm."""

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
        """Its status and output. Raises `TimeoutExpired` if it runs longer than `seconds`."""

    def close(self) -> None:
        """End what still runs."""


class Cold:
    """Starts a program for each command."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, words: Sequence[str], seconds: float) -> CompletedProcess[str]:
        """The status and output of `program WORDS`."""
        line = [self.program, *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=False)

    def close(self) -> None:
        """Do nothing: every command has ended."""


class Warm:
    """Runs this Python's `twinway` in forks of one process that has imported it; see `warm.py`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, words: Sequence[str], seconds: float) -> CompletedProcess[str]:
        """The status and output of `twinway WORDS`."""
        requests, answers = self._pipes()
        requests.write(json.dumps({"words": words, "seconds": seconds}) + "\n")
        requests.flush()
        done = json.loads(answers.readline())
        if done["status"] == -signal.SIGALRM:
            raise TimeoutExpired(list(words), seconds)
        return CompletedProcess(["twinway", *words], done["status"], done["stdout"], done["stderr"])

    def close(self) -> None:
        """End the process that is forked."""
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
