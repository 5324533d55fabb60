"""Looking at a lab: `probe`, `matrix`, `status`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from twinway.cli.options import JsonOption
from twinway.cli.output import print_json, print_table
from twinway_lab.cli import complete
from twinway_lab.cli.app import SILENCE, NameOption, SilenceOption, app, lab_called, tell, usage
from twinway_lab.names import DEFAULT_LAB

FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="NS/POD|node/NAME|external", autocompletion=complete.places),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="HOST:PORT", help="HOST: an address, or NAME.NS of a Service.")
]
SourceOption = Annotated[str | None, typer.Option("--source", metavar="ADDRESS", help="The client's address.")]
BatchOption = Annotated[Path | None, typer.Option("--batch", help="A file of JSON lines with these fields.")]
ProtocolOption = Annotated[
    str, typer.Option("--protocol", help="tcp, udp or sctp.", autocompletion=complete.protocols)
]
WhyOption = Annotated[
    bool, typer.Option("--why", help="In JSON, too, say which policy dropped it: two fields more.")
]


@app.command()
def probe(  # noqa: PLR0913, PLR0917 (one parameter for each option)
    source_place: FromOption = None,
    to: ToOption = None,
    source: SourceOption = None,
    protocol: ProtocolOption = "tcp",
    count: Annotated[int | None, typer.Option("--count", help="So many times, side by side.")] = None,
    payload_size: Annotated[int | None, typer.Option("--payload-size", metavar="BYTES")] = None,
    timeout: SilenceOption = SILENCE,
    batch: BatchOption = None,
    why: WhyOption = False,
    name: NameOption = DEFAULT_LAB,
    json: JsonOption = False,
) -> None:
    """Try to connect, and tell who answered and what it saw; and which policy dropped it."""
    from twinway_lab import store
    from twinway_lab.probe import asking, queries

    lab = lab_called(name)
    if batch is not None:
        asked = list(queries.batch(batch))
    else:
        words = {"from": source_place, "to": to, "source": source, "protocol": protocol}
        numbers = {"count": count, "payload-size": payload_size, "timeout": timeout}
        with usage():
            asked = [queries.query_of({**words, **numbers})]
    plan = store.load(lab).plan
    if batch is not None and json and not why:
        print_json(asking.answers(lab, plan, asked))
        return
    answers = asking.explained(lab, plan, asked)
    if not json:
        _print_answers(answers)
        return
    shown = answers if why else [asking.plain(answer) for answer in answers]
    print_json(shown if batch is not None or count is not None else shown[0])
    tell(() if why else _reasons(answers))


@app.command()
def matrix(
    name: NameOption = DEFAULT_LAB,
    timeout: SilenceOption = SILENCE,
    json: JsonOption = False,
) -> None:
    """Probe every pod from every other one, at every address and declared port."""
    from twinway_lab import store
    from twinway_lab.probe import asking
    from twinway_lab.probe import matrix as every

    lab = lab_called(name)
    plan = store.load(lab).plan
    asked = every.queries(plan, timeout)
    if json:
        print_json(asking.answers(lab, plan, asked))
        return
    answers = asking.explained(lab, plan, asked)
    cells = every.table(plan, answers)
    pods = [str(pod.place) for pod in plan.pods]
    rows = [[client, *(every.shown(cells.get((client, server))) for server in pods)] for client in pods]
    print_table(["from \\ to", *pods], rows, empty="no pods")
    _print_reasons(answers)


@app.command()
def status(name: NameOption = DEFAULT_LAB, json: JsonOption = False) -> None:
    """Tell what the lab holds."""
    from twinway_lab import status as account
    from twinway_lab import store

    lab = lab_called(name)
    now = account.status(lab, store.load(lab))
    if json:
        print_json(now)
        return
    typer.echo(f"lab {lab}: driver {now['driver']}, pods on {now['pod_device']}")
    nodes = [(each["name"], each["addresses"], each["pod_cidrs"], account.in_words(each)) for each in now["nodes"]]
    print_table(("node", "addresses", "pods' ranges", "agent"), nodes, empty="no nodes")
    pods = [(each["pod"], each["node"], each["addresses"], each["ports"]) for each in now["pods"]]
    print_table(("pod", "node", "addresses", "ports"), pods, empty="no pods")
    if now["pending"]:
        typer.echo(f"pending, for no node suits them: {', '.join(now['pending'])}")
    services = [(each["service"], each["addresses"]) for each in now["services"]]
    print_table(("service", "cluster IPs"), services, empty="no Services")


def _print_answers(answers: list[dict[str, Any]]) -> None:
    columns = ("from", "to", "protocol", "outcome", "backend", "observed_source", "rtt_ms")
    print_table(columns, ([answer[column] for column in columns] for answer in answers), empty="nothing asked")
    _print_reasons(answers)


def _print_reasons(answers: list[dict[str, Any]]) -> None:
    for reason in _reasons(answers):
        typer.echo(reason)


def _reasons(answers: list[dict[str, Any]]) -> list[str]:
    silent = Counter(
        answer["detail"] or "dropped, though no policy denies it"
        for answer in answers
        if answer["outcome"] == "dropped"
    )
    return [f"{reason} ({number} times)" if number > 1 else reason for reason, number in silent.most_common()]
