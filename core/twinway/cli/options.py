"""Options that several commands share, and how they find the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from twinway.client import AgentClient

DEFAULT_CONFIG = Path("/etc/twinway/node.yaml")
DEFAULT_SOCKET = Path("/run/twinway/agent.sock")

ConfigOption = Annotated[Path, typer.Option("--config", help="The node's config.", envvar="TWINWAY_CONFIG")]
SocketOption = Annotated[
    Path, typer.Option("--socket", help="The agent's socket: agent.sock in its run_dir.", envvar="TWINWAY_AGENT")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def new_app(**settings: Any) -> typer.Typer:
    """An app as all commands here have it: plain help, no traceback decoration."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, **settings)


def agent_at(socket: Path) -> AgentClient:
    """A client of the agent that listens there."""
    return AgentClient(socket)
