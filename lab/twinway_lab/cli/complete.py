"""What the shell offers after a part of a word: labs, places, nodes, drivers; nothing where nobody can tell."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import typer

from twinway.errors import TwinwayError
from twinway_lab.names import DEFAULT_LAB, EXTERNAL, LabName, node_place


def labs(incomplete: str) -> list[str]:
    """The labs that there are."""
    from twinway_lab import store

    with suppress(OSError):
        return _begin(store.names(), incomplete)
    return []


def places(context: typer.Context, incomplete: str) -> list[str]:
    """The pods and nodes of the lab that is meant, and the host outside."""
    from twinway_lab import store

    name = context.params.get("name") or DEFAULT_LAB
    with suppress(TwinwayError, OSError):
        plan = store.load(LabName.checked(name)).plan
        nodes = [node_place(node.name) for node in plan.nodes]
        return _begin(map(str, [*(pod.place for pod in plan.pods), *nodes, EXTERNAL]), incomplete)
    return []


def nodes(context: typer.Context, incomplete: str) -> list[str]:
    """The nodes of the lab that is meant."""
    return [place for place in places(context, incomplete) if place.startswith("node/")]


def drivers(incomplete: str) -> list[str]:
    """The drivers that are installed."""
    from twinway import plugins

    return _begin(plugins.names(), incomplete)


def protocols(incomplete: str) -> list[str]:
    """What a probe speaks."""
    return _begin(("tcp", "udp", "sctp"), incomplete)


def _begin(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
