"""`twinway config …`."""

from __future__ import annotations

import typer

from twinway.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, new_app
from twinway.cli.output import print_json, print_table

app = new_app(no_args_is_help=True)


@app.callback()
def _config() -> None:
    """The node's config."""


@app.command()
def explain(config: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Every key: its value, where that comes from, and what it means. Refuses what the agent would."""
    from dataclasses import asdict

    from twinway import plugins
    from twinway.config_explain import explain as explained

    node = plugins.read_config(config, may_miss=config == DEFAULT_CONFIG)
    if not config.exists():
        typer.echo(f"{config}: there is no such file, these are the defaults", err=True)
    driver = plugins.load(node.driver)
    entries = list(explained(node))
    entries += explained(plugins.options_of(driver, node.drivers, str(config)), f"drivers.{driver.name}.")
    if json:
        print_json([asdict(entry) for entry in entries])
        return
    rows = [(entry.key, "" if entry.value is None else entry.value, entry.origin, entry.doc) for entry in entries]
    print_table(("key", "value", "from", "meaning"), rows, empty="")
