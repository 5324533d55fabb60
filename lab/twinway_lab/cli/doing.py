"""Reaching into a lab: `exec`, `agent`, `driver`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from twinway_lab.cli import complete
from twinway_lab.cli.app import PATIENCE, NameOption, TimeoutOption, app, lab_called, usage
from twinway_lab.names import DEFAULT_LAB, parse_place
from twinway_lab.objects.kinds import number_of


class AgentVerb(StrEnum):
    """What can be done with an agent."""

    KILL = "kill"
    START = "start"
    RESTART = "restart"


@app.command("exec")
def execute(
    place: Annotated[str, typer.Argument(metavar="NS/POD|node/NAME|external", autocompletion=complete.places)],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
    name: NameOption = DEFAULT_LAB,
) -> None:
    """Run a command as one of a place's own programs; output and exit status are the command's."""
    from twinway_lab import verbs

    lab = lab_called(name)
    with usage():
        where = parse_place(place)
    verbs.execute(lab, where, command)


@app.command()
def agent(
    verb: AgentVerb,
    node: Annotated[str, typer.Argument(metavar="node/NAME", autocompletion=complete.nodes)],
    name: NameOption = DEFAULT_LAB,
    timeout: TimeoutOption = PATIENCE,
) -> None:
    """Kill, start or restart a node's agent; the latter two return when the node's state is in force."""
    from twinway_lab import verbs

    lab = lab_called(name)
    with usage():
        verbs.agent(lab, verb.value, parse_place(node), timeout)
    typer.echo(f"{node}: the agent {'has been killed' if verb is AgentVerb.KILL else 'has its state in force'}")


@app.command()
def driver(
    driver: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete.drivers)],
    name: NameOption = DEFAULT_LAB,
    timeout: TimeoutOption = PATIENCE,
) -> None:
    """Change every node to another driver, under traffic; return when it is done."""
    from twinway_lab import verbs

    nodes = verbs.change_driver(lab_called(name), driver, timeout)
    typer.echo(f"lab {name}: driver {driver} on {number_of(nodes, 'node')}")
