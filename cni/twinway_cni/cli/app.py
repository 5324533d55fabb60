"""`twinway cni …`: the node's chain of network plugins, with twinway at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from twinway.cli.options import JsonOption, new_app
from twinway.cli.output import print_json, print_table

app = new_app(no_args_is_help=True)

BinDir = Annotated[Path, typer.Option("--bin-dir", help="Where the runtime finds plugins.")]
ConfDirOption = Annotated[Path, typer.Option("--conf-dir", help="Where the runtime finds network configs.")]
DEFAULT_BIN = Path("/opt/cni/bin")
DEFAULT_CONF = Path("/etc/cni/net.d")


@app.callback()
def _cni() -> None:
    """The node's chain of network plugins."""


@app.command()
def install(bin_dir: BinDir = DEFAULT_BIN, conf_dir: ConfDirOption = DEFAULT_CONF) -> None:
    """
    Put the plugin on the node and twinway at the end of the chain. Pods that are there already are not touched.

    Without a network config to stand behind, the plugin alone is installed. An agent with cni.conf_dir follows the
    first config that appears.
    """
    from twinway_cni import installer

    place = installer.install(installer.Node(bin_dir, conf_dir))
    if place.behind is None:
        typer.echo(f"{conf_dir}: no network config yet: twinway has none to stand behind")
    else:
        typer.echo(f"{bin_dir / 'twinway'}: installed; chained behind {place.behind}")


@app.command()
def uninstall(
    bin_dir: BinDir = DEFAULT_BIN,
    conf_dir: ConfDirOption = DEFAULT_CONF,
    keep_plugin: Annotated[
        bool, typer.Option("--keep-plugin", help="Leave the plugin for the DEL of running pods (CRI-O).")
    ] = False,
    run_dir: Annotated[Path, typer.Option("--run-dir", help="The agent's run_dir.")] = Path("/run/twinway"),
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the agent to end.")] = 0.0,
) -> None:
    """
    Take twinway out of the chain and off the node. Refused while an agent runs, which would put it back.

    Pods that are there keep their hooks and connections: `twinway cleanup` removes those.
    """
    from twinway_cni import installer
    from twinway_cni.waiting import wait_for_agent

    wait_for_agent(run_dir, wait)
    removed = installer.uninstall(installer.Node(bin_dir, conf_dir), keep_plugin=keep_plugin)
    typer.echo(f"removed {', '.join(map(str, removed)) or 'nothing: there was nothing'}")


@app.command()
def status(
    bin_dir: BinDir = DEFAULT_BIN, conf_dir: ConfDirOption = DEFAULT_CONF, json: JsonOption = False
) -> None:
    """Whether new pods are added with twinway; exit status 1 if not."""
    from twinway_cni import installer

    found = installer.standing(installer.Node(bin_dir, conf_dir))
    rows = [
        ("the runtime uses", found.uses),
        ("twinway is behind", found.behind),
        ("the plugin is", found.plugin),
        ("fault", found.fault or "none"),
    ]
    if json:
        print_json(
            {
                "uses": str(found.uses) if found.uses else None,
                "behind": str(found.behind) if found.behind else None,
                "plugin": found.plugin,
                "fault": found.fault or None,
            }
        )
    else:
        print_table(("what", "now"), rows, empty="")
    raise typer.Exit(1 if found.fault else 0)


@app.command(name="await")
def await_everywhere(
    daemonset: Annotated[str, typer.Argument(help="NAMESPACE/NAME of the DaemonSet in this cluster.")],
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds to wait at most.")] = 300.0,
) -> None:
    """Wait until a DaemonSet has a ready pod on each of its nodes, as the chart does when it is uninstalled."""
    from twinway_cni.waiting import wait_for_daemonset

    wait_for_daemonset(daemonset, timeout)
