"""`twinway endpoint …`."""

from __future__ import annotations

from twinway.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption, agent_at, new_app
from twinway.cli.output import print_json, print_table

app = new_app(no_args_is_help=True)


@app.callback()
def _endpoint() -> None:
    """Pods of this node that are served."""


@app.command("list")
def list_endpoints(socket: SocketOption = DEFAULT_SOCKET, json: JsonOption = False) -> None:
    """Each pod with its addresses, its interface and the policies it is under."""
    found = agent_at(socket).get("/endpoints")
    if json:
        print_json(found)
        return
    rows = [
        (pod["pod"], pod["addresses"], pod["device"], pod["policies"] or "none", pod["policy"] or "none")
        for pod in found["endpoints"]
    ]
    print_table(("pod", "addresses", "device", "policies", "policy set"), rows, empty="no pods")
