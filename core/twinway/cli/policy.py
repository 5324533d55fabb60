"""`twinway policy …`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from twinway.cli import complete
from twinway.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption, agent_at, new_app
from twinway.cli.output import print_json, print_table
from twinway.client import AgentClient
from twinway.errors import TwinwayError

app = new_app(no_args_is_help=True)


@app.callback()
def _policy() -> None:
    """Policies in force on this node, and what they deny."""


@app.command("list")
def list_policies(socket: SocketOption = DEFAULT_SOCKET, json: JsonOption = False) -> None:
    """Each policy that selects pods of this node, with those pods, its directions and its rules."""
    found = agent_at(socket).get("/policies")
    if json:
        print_json(found)
        return
    rows = [
        (
            policy["policy"],
            policy["tier"] if policy["priority"] is None else f"{policy['tier']} {policy['priority']}",
            policy["pods"],
            policy["directions"],
            [rule["place"] for rule in policy["rules"]],
            policy["sets"],
        )
        for policy in found["policies"]
    ]
    columns = ("policy", "tier", "pods here", "directions", "rules in use", "policy sets")
    print_table(columns, rows, empty="no policy selects a pod of this node")


@app.command()
def denials(socket: SocketOption = DEFAULT_SOCKET, json: JsonOption = False) -> None:
    """What was denied to which pod, in which direction, and by which policy and rule; most frequent first."""
    found = agent_at(socket).get("/denials")
    if json:
        print_json(found)
        return
    rows = [(row["pod"] or row["address"], row["direction"], row["count"], row["why"]) for row in found["denials"]]
    print_table(("pod", "direction", "packets", "why"), rows, empty="nothing was denied")


@app.command()
def explain(  # noqa: PLR0913, PLR0917 (what a connection is, and how to ask)
    source: Annotated[
        str,
        typer.Option(
            "--from", help="Who connects: a pod of this node, or an address.", autocompletion=complete.pods
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="To whom: a pod of this node, or an address (a Service's, too).",
            autocompletion=complete.pods,
        ),
    ],
    port: Annotated[int, typer.Option("--port", help="The port at --to.")] = 0,
    protocol: Annotated[
        str, typer.Option("--protocol", help="tcp, udp, sctp, or a number.", autocompletion=complete.protocols)
    ] = "tcp",
    socket: SocketOption = DEFAULT_SOCKET,
    json: JsonOption = False,
) -> None:
    """
    What policy says of a new connection at each end that is a pod of this node, and by which rule.

    Exit status 1 if it is denied.
    """
    agent = agent_at(socket)
    begin, end = _addresses(agent, source, to)
    found = agent.get(f"/explain?{urlencode({'from': begin, 'to': end, 'port': port, 'protocol': protocol})}")
    if json:
        print_json(found)
    else:
        rows = [
            (row["pod"], row["direction"], _place(row["to"]), row["action"], row["why"])
            for row in found["judgements"]
        ]
        columns = ("pod", "direction", "to", "action", "why")
        print_table(columns, rows, empty="neither end is a pod of this node: ask the nodes that they are on")
    raise typer.Exit(0 if found["allowed"] else 1)


# A pod has an address of each family, perhaps: both ends have to be of one.
def _addresses(agent: AgentClient, source: str, to: str) -> tuple[str, str]:
    known = {pod["pod"]: pod["addresses"] for pod in agent.get("/endpoints")["endpoints"]}
    ends = [known.get(name) or [_address(name)] for name in (source, to)]
    for one in ends[0]:
        for other in ends[1]:
            if ip_address(one).version == ip_address(other).version:
                return one, other
    raise TwinwayError(f"--from {source} --to {to}: no address family that both have")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise TwinwayError(
            f"{text}: no pod of this node (namespace/name), and no address: see `twinway endpoint list`"
        ) from error


def _place(place: dict[str, Any]) -> str:
    return f"{place['address']} port {place['port']}" if place["port"] else str(place["address"])
