"""
The command `twinway`.

The module of a command is imported when its word is used, and not before: the agent starts without
the lab's code and the lab without the agent's. Other distributions add words of their own through
the entry point group `twinway.commands`: name → a Typer app.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from twinway.errors import TwinwayError

ENTRY_POINTS = "twinway.commands"

BUILT_IN = {
    "agent": "Serve this node until SIGTERM.",
    "check": "What each installed driver needs, and whether this node has it.",
    "cleanup": "Remove all hooks and pins of this node.",
    "status": "What the agent is doing.",
    "config": "The node's config.",
    "service": "Services in force on this node.",
    "endpoint": "Pods of this node that are served.",
    "policy": "Policies in force on this node, and what they deny.",
    "map": "The kernel's tables.",
}
"""Each is the module `twinway.cli.WORD`, with an `app`."""


class LazyGroup(TyperGroup):
    """A group that knows its commands' names, and imports the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 (the base's signature)
        """Every word, the built-in ones first."""
        return [*BUILT_IN, *sorted(set(_extra()) - set(BUILT_IN))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 (the base's signature)
        """A stand-in with the word's help line: enough to list the word and to know that it exists."""
        if cmd_name in BUILT_IN:
            return TyperCommand(name=cmd_name, help=BUILT_IN[cmd_name])
        if cmd_name in _extra():
            return TyperCommand(name=cmd_name, help=_summary(_extra()[cmd_name]))
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, imported now."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, _imported(str(name)), rest


app = typer.Typer(
    name="twinway",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from twinway.build import version

        typer.echo(f"twinway {version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Service network and NetworkPolicy for pods, with eBPF: the packet's way or the socket's."""


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit status 1."""
    try:
        app(prog_name="twinway")
    except TwinwayError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"error: {line}\n")
        sys.exit(1)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        sys.stderr.write(f"error: {what}\n")
        sys.exit(1)


@cache
def _extra() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def _summary(entry: EntryPoint) -> str:
    # What the distribution says of itself: the command's own help would have to be imported.
    return str(entry.dist.metadata["Summary"]) if entry.dist else entry.module


def _imported(word: str) -> Any:
    loaded = import_module(f"twinway.cli.{word}").app if word in BUILT_IN else _extra()[word].load()
    command = get_command(loaded)
    command.name = word
    return command
