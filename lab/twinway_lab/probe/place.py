"""The process of one place: answers on the place's ports, and probes from it when asked over a unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twinway.errors import LabError
from twinway.model.net import Protocol
from twinway_lab.names import Place
from twinway_lab.plan.plan import PodPort
from twinway_lab.probe import responder
from twinway_lab.probe.attempts import Attempt
from twinway_lab.probe.patience import Patience
from twinway_lab.probe.probe import attempt

AT_ONCE = 256
"""Probes that one place has under way at the same time."""
_LONGEST_LINE = 64 << 20


def run(place: Place, ports: Iterable[PodPort], path: Path, ready: Callable[[], None]) -> None:
    """Serve until killed; `ready` is called when all ports and the socket at `path` listen."""
    # A listing of processes shows what this one is for.
    Path("/proc/self/comm").write_text(f"lab:{place}"[:15])
    asyncio.run(_serve(place, ports, path, ready))


async def _serve(place: Place, ports: Iterable[PodPort], path: Path, ready: Callable[[], None]) -> None:
    try:
        await responder.serve(str(place) if place.kind == "pod" else None, ports)
    except LabError as error:
        raise LabError(f"{place}: {error}") from error
    limit, patience = asyncio.Semaphore(AT_ONCE), Patience()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = json.loads(await reader.read())
        answers = await asyncio.gather(*(_one(each, limit, patience) for each in words))
        writer.write(json.dumps(answers).encode())
        await writer.drain()
        writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(take, path, limit=_LONGEST_LINE)
    path.chmod(0o600)
    ready()
    await server.serve_forever()


async def _one(words: dict[str, Any], limit: asyncio.Semaphore, patience: Patience) -> dict[str, Any]:
    query = Attempt(**{**words, "protocol": Protocol(words["protocol"])})
    try:
        async with limit:
            return asdict(await attempt(query, patience))
    except LabError as error:
        return {"error": str(error)}
