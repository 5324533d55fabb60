"""`twinway status`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import typer

from twinway.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption, agent_at, new_app
from twinway.cli.output import print_json, print_table

app = new_app()


@app.command()
def status(socket: SocketOption = DEFAULT_SOCKET, json: JsonOption = False) -> None:
    """What the agent is doing."""
    now = agent_at(socket).status()
    if json:
        print_json(now)
        return
    print_table(("what", "now"), _rows(now), empty="")
    for rejected in now["rejected"]:
        typer.echo(f"rejected: {rejected}")
    for each in now["not_served"]:
        typer.echo(f"not served: {each}")


def _rows(now: dict[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("node", now["node"]),
        ("driver", f"{now['driver'] or 'none yet'} (pid {now['pid']})"),
        ("config", _config(now["config"])),
        ("version", now["version"] or "none yet"),
        ("complete", now["complete"]),
        ("source", _source(now["source"])),
        ("applies", now["applies"]),
        ("endpoints", len(now["endpoints"])),
        ("rejected", len(now["rejected"])),
        ("not served", len(now["not_served"])),
        ("retiring", now["retiring"] or "none"),
        ("health", f"{'ok' if now['health']['ok'] else 'NOT ok'}: {now['health']['detail']}"),
        ("error", f"{now['error']} (since {_moment(now['error_since'])})" if now["error"] else "none"),
    ]


def _config(config: dict[str, Any]) -> str:
    if config["error"]:
        return f"NOT in force: {config['error']} (since {_moment(config['since'])})"
    return f"restart the agent for {', '.join(config['pending'])}" if config["pending"] else "in force"


def _source(source: dict[str, Any]) -> str:
    if source["synced"]:
        return "in sync"
    return f"OUT OF SYNC: {source['error']} (since {_moment(source['since'])})"


def _moment(since: float) -> str:
    return datetime.fromtimestamp(since).astimezone().isoformat(sep=" ", timespec="seconds")
