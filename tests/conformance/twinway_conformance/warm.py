"""
Run commands of `twinway` in forks of a process that has imported it: each line of input is one command.

    python -m twinway_conformance.warm

An input line is {"words", "seconds"}, and its output line {"status", "stdout", "stderr"}. SIGALRM ends a command
that runs longer than `seconds`. A fork runs the command's own code from its first line. It saves only the start of
Python and the imports, which take longer than most commands.
"""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import sys
import traceback
from importlib import import_module
from typing import BinaryIO

import twinway_lab
from twinway.cli.main import main as twinway


def main() -> None:
    """Serve until the input ends."""
    for module in pkgutil.walk_packages(twinway_lab.__path__, "twinway_lab."):
        import_module(module.name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the command, as it would without this process
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(**json.loads(line))) + "\n")
        sys.stdout.flush()


def _run(words: list[str], seconds: float) -> dict[str, int | str]:
    with _sink("stdout") as out, _sink("stderr") as error:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            _become(words, out, error)
        _, status = os.waitpid(child, 0)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "stdout": _written(out),
            "stderr": _written(error),
        }


def _sink(name: str) -> BinaryIO:
    return open(os.memfd_create(name), "w+b", buffering=0)  # noqa: PTH123 (there is no path)


def _written(sink: BinaryIO) -> str:
    sink.seek(0)
    return sink.read().decode(errors="replace")


def _become(words: list[str], out: BinaryIO, error: BinaryIO) -> None:
    # Never returns, so that this process neither flushes the parent's buffers nor runs its cleanup.
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, out.fileno(), error.fileno())):
        os.dup2(file, number)
    sys.argv = ["twinway", *words]
    status = 1
    try:
        twinway()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
