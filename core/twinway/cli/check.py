"""`twinway check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from twinway.cli import complete
from twinway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, new_app
from twinway.cli.output import print_json, print_table

if TYPE_CHECKING:
    from twinway.config import NodeConfig
    from twinway.driver import Engine

app = new_app()

DriverName = Annotated[
    str,
    typer.Option(
        "--driver", help="Judge this driver, not the one in the config.", autocompletion=complete.drivers
    ),
]


@app.command()
def check(config: ConfigOption = DEFAULT_CONFIG, driver: DriverName = "", json: JsonOption = False) -> None:
    """
    What each installed driver needs, whether this node has it, and which other engines serve this node.

    Exit status 1 if the node lacks what the driver of the config, or of --driver, cannot do without.
    """
    from dataclasses import asdict

    from twinway import plugins

    # A node that is still to be set up has no config yet: it is judged by the defaults.
    node = plugins.read_config(config, may_miss=config == DEFAULT_CONFIG)
    if not node.asks_for_labels:
        node = node.here({})
    chosen = driver or node.driver
    plugins.load(chosen)
    found = [_examine(name, node, config, chosen=name == chosen) for name in plugins.names()]
    engines = _engines(chosen, node, config)
    if json:
        print_json({"drivers": found, "engines": [asdict(engine) for engine in engines]})
    else:
        print_table(("driver", "feature", "present", "required", "what to do"), _rows(found), empty="no drivers")
        typer.echo()
        rows = ((engine.name, engine.evidence, engine.advice) for engine in engines)
        print_table(("also on this node", "by", "what that means"), rows, empty="no other engine on this node")
    raise typer.Exit(0 if all(entry["usable"] for entry in found if entry["chosen"]) else 1)


def _examine(name: str, node: NodeConfig, config: Path, *, chosen: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from twinway.errors import TwinwayError
    from twinway.node_context import build_driver, context_of

    try:
        driver = build_driver(name, config=node, context=context_of(node), origin=str(config))
        needs = driver.requirements()
    except TwinwayError as error:
        return {"driver": name, "chosen": chosen, "usable": False, "fault": str(error), "requirements": []}
    usable = all(need.present or not need.required for need in needs)
    return {
        "driver": name,
        "chosen": chosen,
        "usable": usable,
        "fault": None,
        "requirements": [asdict(need) for need in needs],
    }


def _engines(name: str, node: NodeConfig, config: Path) -> tuple[Engine, ...]:
    from twinway.errors import TwinwayError
    from twinway.node_context import build_driver, context_of

    try:
        return build_driver(name, config=node, context=context_of(node), origin=str(config)).engines()
    except TwinwayError:
        return ()  # the driver's own fault is in the table above


def _rows(found: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for entry in found:
        name = f"{entry['driver']} *" if entry["chosen"] else entry["driver"]
        if entry["fault"]:
            yield name, "the driver itself", False, True, entry["fault"]
        elif not entry["requirements"]:
            yield name, "needs nothing", True, False, ""
        for need in entry["requirements"]:
            yield (
                name,
                need["feature"],
                need["present"],
                need["required"],
                "" if need["present"] else need["without"],
            )
