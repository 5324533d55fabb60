"""What a lab holds: `up`, `apply`, `delete`, `sync`, `down`."""

from __future__ import annotations

import signal
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from twinway.cli.options import JsonOption
from twinway.cli.output import print_json
from twinway_lab.cli import complete
from twinway_lab.cli.app import (
    PATIENCE,
    FilesOption,
    MoreFiles,
    NameOption,
    NamespaceOption,
    TimeoutOption,
    app,
    lab_called,
    tell,
)
from twinway_lab.names import DEFAULT_LAB, LabName
from twinway_lab.objects.kinds import number_of
from twinway_lab.objects.summary import Done


class PodDevice(StrEnum):
    """How pods are plugged in."""

    VETH = "veth"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"


@app.command()
def up(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    files: FilesOption,
    more: MoreFiles = None,
    driver: Annotated[
        str | None,
        typer.Option(
            help="An installed driver; else the node config's, or its default.", autocompletion=complete.drivers
        ),
    ] = None,
    pod_device: Annotated[
        PodDevice | None, typer.Option(help="How pods are plugged in; else as the node config says.")
    ] = None,
    node_config: Annotated[
        Path | None,
        typer.Option(help="A node config: what it says beside the lab's own keys holds for every node's agent."),
    ] = None,
    namespace: NamespaceOption = None,
    name: NameOption = DEFAULT_LAB,
    timeout: TimeoutOption = PATIENCE,
    json: JsonOption = False,
) -> None:
    """Make a lab with these objects; where that fails, nothing is left behind."""
    from twinway_lab import options, store, verbs
    from twinway_lab import status as account
    from twinway_lab.plan.plan import Plan

    begun, lab = time.monotonic(), lab_called(name)
    given = options.read(node_config)
    state = store.LabState(
        driver=driver or given.driver,
        pod_device=pod_device or given.pod_device,
        documents=(),
        plan=Plan(),
        config=given.for_agents(),
    )
    signal.signal(signal.SIGTERM, _end)  # as Ctrl-C: what has been made is unmade
    tell(verbs.up(lab, verbs.Files([*files, *(more or ())], namespace), state, timeout))
    now = account.status(lab, store.load(lab))
    if json:
        print_json(now)
        return
    counts = ", ".join(number_of(len(now[f"{noun.lower()}s"]), noun) for noun in ("node", "pod", "Service"))
    took = time.monotonic() - begun
    typer.echo(f"lab {lab} is up in {took:.1f} s: {counts}, driver {now['driver']} on {now['pod_device']}")


def _told(done: Done) -> None:
    tell(done.notes)
    typer.echo(done.line)


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)


@app.command()
def apply(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    files: FilesOption,
    more: MoreFiles = None,
    bad_policies: Annotated[
        bool, typer.Option("--bad-policies", help="Let the agents find the faults of policies.")
    ] = False,
    namespace: NamespaceOption = None,
    name: NameOption = DEFAULT_LAB,
    timeout: TimeoutOption = PATIENCE,
) -> None:
    """Add these objects, or change those of the same names; return when every node has programmed it."""
    from twinway_lab import verbs

    given = verbs.Files([*files, *(more or ())], namespace)
    _told(verbs.apply(lab_called(name), given, timeout, bad_policies=bad_policies))


@app.command()
def delete(
    files: FilesOption,
    more: MoreFiles = None,
    namespace: NamespaceOption = None,
    name: NameOption = DEFAULT_LAB,
    timeout: TimeoutOption = PATIENCE,
) -> None:
    """Remove the objects of these names; return when every node has programmed it."""
    from twinway_lab import verbs

    _told(verbs.delete(lab_called(name), verbs.Files([*files, *(more or ())], namespace), timeout))


@app.command()
def sync(
    files: FilesOption,
    more: MoreFiles = None,
    namespace: NamespaceOption = None,
    name: NameOption = DEFAULT_LAB,
    timeout: TimeoutOption = PATIENCE,
) -> None:
    """Make the lab hold exactly these objects; return when every node has programmed it."""
    from twinway_lab import verbs

    _told(verbs.sync(lab_called(name), verbs.Files([*files, *(more or ())], namespace), timeout))


@app.command()
def down(
    name: NameOption = DEFAULT_LAB, all_labs: Annotated[bool, typer.Option("--all", help="Every lab.")] = False
) -> None:
    """Remove a lab without a trace; also what a command left that was killed on its way."""
    from twinway_lab import cleanup, lock

    known = cleanup.names()
    for each in known if all_labs else [name]:
        cleanup.down(LabName(each))
        typer.echo(f"lab {each} is down" if each in known else f"there is no lab {each}: nothing to remove")
    if all_labs and not known:
        typer.echo("there is no lab: nothing to remove")
    lock.remove_empty_folders()
