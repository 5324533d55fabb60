"""`twinway service …`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twinway.cli.options import DEFAULT_SOCKET, JsonOption, SocketOption, agent_at, new_app
from twinway.cli.output import print_json, print_table

app = new_app(no_args_is_help=True)


@app.callback()
def _service() -> None:
    """Services in force on this node."""


@app.command("list")
def list_services(socket: SocketOption = DEFAULT_SOCKET, json: JsonOption = False) -> None:
    """Each frontend with its backends, and whether the kernel has the same."""
    found = agent_at(socket).get("/services")
    if json:
        print_json(found)
        return
    columns = ("service", "address", "protocol", "scope", "backends", "in kernel")
    print_table(columns, _rows(found["services"]), empty="no services")


def _rows(services: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for service in services:
        for frontend in service["frontends"]:
            yield (
                service["service"],
                _address(frontend),
                frontend["protocol"],
                frontend["scope"],
                [_address(backend) for backend in frontend["backends"]] or _without_backends(frontend),
                frontend["programmed"],
            )


def _without_backends(frontend: dict[str, Any]) -> str:
    return "none on this node: dropped" if frontend["drops"] else "none: rejected"


def _address(place: dict[str, Any]) -> str:
    address = f"[{place['address']}]" if ":" in place["address"] else place["address"]
    return f"{address}:{place['port']}"
