"""What the shell offers for a word that is being typed; nothing where the answer is not known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from twinway.cli.options import DEFAULT_SOCKET
from twinway.errors import TwinwayError

PROTOCOLS = ("tcp", "udp", "sctp")


def drivers(incomplete: str) -> list[str]:
    """Installed drivers."""
    from twinway import plugins

    return _beginning(incomplete, plugins.names)


def pods(incomplete: str) -> list[str]:
    """Pods of this node, as its agent reports them."""
    from twinway.client import AgentClient

    socket = Path(os.environ.get("TWINWAY_AGENT", DEFAULT_SOCKET))
    return _beginning(
        incomplete, lambda: [pod["pod"] for pod in AgentClient(socket).get("/endpoints")["endpoints"]]
    )


def protocols(incomplete: str) -> list[str]:
    """Protocols that have ports."""
    return _beginning(incomplete, lambda: PROTOCOLS)


def _beginning(incomplete: str, words: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return [word for word in words() if word.startswith(incomplete)]
    except (TwinwayError, OSError):
        return []
