"""`twinway map …`."""

from __future__ import annotations

from twinway.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption, agent_at, new_app
from twinway.cli.output import print_json, print_table

app = new_app(no_args_is_help=True)


@app.callback()
def _map() -> None:
    """The kernel's tables."""


@app.command("list")
def list_maps(socket: SocketOption = DEFAULT_SOCKET, json: JsonOption = False) -> None:
    """How full each table is, and what packets and sockets met, by reason."""
    found = agent_at(socket).get("/maps")
    if json:
        print_json(found)
        return
    rows = [(usage["name"], usage["entries"], usage["capacity"], usage["memory"]) for usage in found["maps"]]
    print_table(("map", "entries", "capacity", "bytes"), rows, empty="no maps")
    print_table(("verdict", "count"), found["counters"].items(), empty="no verdicts")
