"""The app that the verbs are hung on, and the options that they share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from twinway.cli.options import new_app
from twinway.errors import LabError
from twinway_lab.cli import complete
from twinway_lab.names import LabName
from twinway_lab.usage import WrongUsage

app = new_app(no_args_is_help=True)

NameOption = Annotated[str, typer.Option("--name", help="Which lab.", autocompletion=complete.labs)]
FilesOption = Annotated[
    list[Path], typer.Option("-f", "--filename", help="Kubernetes YAML or JSON: a file, or a folder of them.")
]
MoreFiles = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="More of them.")]
NamespaceOption = Annotated[
    str | None, typer.Option("-n", "--namespace", help="The namespace of objects that name none.")
]
TimeoutOption = Annotated[float, typer.Option("--timeout", help="Seconds until the change must be in force.")]
SilenceOption = Annotated[float, typer.Option("--timeout", help="Seconds until silence is `dropped`.")]
PATIENCE, SILENCE = 180.0, 3.0  # an emulated machine is slow to load its programs


@app.callback()
def _lab() -> None:
    """A cluster of network namespaces on this machine, with the real agent on every node."""
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and loads BPF: run it as root")


@contextmanager
def usage() -> Iterator[None]:
    """What cannot be meant ends as wrong usage, with exit status 2."""
    try:
        yield
    except WrongUsage as error:
        raise typer.BadParameter(str(error)) from error


def lab_called(name: str) -> LabName:
    """The lab of this name; a name that cannot be one is wrong usage."""
    with usage():
        return LabName.checked(name)


def tell(notes: Iterable[str]) -> None:
    """What a person should know beside a command's answer, a line each; programs read the answer alone."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)
