"""`twinway cleanup`."""

from __future__ import annotations

from typing import Annotated

import typer

from twinway.cli.options import DEFAULT_CONFIG, ConfigOption, new_app

app = new_app()

YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def cleanup(config: ConfigOption = DEFAULT_CONFIG, yes: YesOption = False) -> None:
    """
    Remove all hooks and pins of this node. Pods go on without Services and without policy.

    Refused while an agent runs. Asks twice, unless --yes is given.
    """
    from twinway import cleanup
    from twinway.plugins import read_config

    node = read_config(config, may_miss=config == DEFAULT_CONFIG)
    if not yes:
        pods = cleanup.attached(node)
        typer.confirm(
            f"This ends Services and opens every policy for {pods} attached pod interfaces of node "
            f"{node.node_name}. Go on?",
            abort=True,
        )
        typer.confirm(f"All pins below {node.bpffs / 'twinway'} will be removed. Are you sure?", abort=True)
    done = cleanup.clean(node, str(config))
    for fault in done.faults:
        typer.echo(f"error: {fault}", err=True)
    typer.echo(
        f"node {node.node_name}: removed the hooks of {', '.join(done.drivers) or 'no driver'}, and {done.pins} "
        f"more pins; what CNI reported of pods stays in {node.run_dir / 'attachments'}"
    )
    raise typer.Exit(1 if done.faults else 0)
