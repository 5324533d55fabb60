"""
Steady requests to one address, counted: what a change of driver must not disturb.

    python -m twinway_lab.probe.traffic HOST TCP-PORT UDP-HOST UDP-PORT

Three kinds side by side: connections that are kept, a new connection for each request, and datagrams
from a new socket each. Runs until SIGTERM, then prints what came of them as JSON.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field

from twinway_lab.probe import talk

PAUSE_SECONDS = 0.005
PATIENCE_SECONDS = 3.0
AGAIN_SECONDS = 1.0
"""After so long a datagram is sent again, as TCP and every name resolver do."""
_WORDS = talk.request(b"")


@dataclass
class Count:
    """What came of one kind of request."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    backends: dict[str, int] = field(default_factory=dict)

    async def tally(self, ask: Callable[[], Awaitable[str | None]]) -> None:
        """One request, and what came of it; of a failure, when it was begun."""
        begun, clock = time.strftime("%H:%M:%S"), time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                backend = str(await ask())
            self.backends[backend] = self.backends.get(backend, 0) + 1
            self.answered += 1
            self.slowest_ms = max(self.slowest_ms, round((time.perf_counter() - clock) * 1000, 1))
        except TimeoutError:
            self.failed.append(f"{begun}: no answer in {PATIENCE_SECONDS:g} s")
        except (OSError, EOFError, ValueError) as error:
            self.failed.append(f"{begun}: {type(error).__name__}: {error}")


class Kept:
    """A connection that lasts; opened again only after it has failed."""

    def __init__(self, host: str, port: int) -> None:
        """Nothing is opened yet."""
        self._to = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> str | None:
        """One request on the connection; the name of who answers."""
        streams, self._streams = self._streams, None
        reader, writer = streams or await asyncio.open_connection(*self._to)
        writer.write(_WORDS)
        backend = await _answer(reader)
        self._streams = reader, writer
        return backend


async def ask_anew(host: str, port: int) -> str | None:
    """One request on a connection of its own; the name of who answers."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_WORDS)
        return await _answer(reader)
    finally:
        writer.close()


async def ask_datagram(host: str, port: int) -> str | None:
    """One question from a socket of its own, sent again where it may have been lost; the name of who answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0)
        client.connect((host, port))
        while True:
            client.send(_WORDS)
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    came = await asyncio.get_running_loop().sock_recv(client, 1 << 16)
                break
            except TimeoutError:
                continue
    answer = talk.answered(came)
    if answer is None:
        raise EOFError("the answer was cut")
    return answer[0].pod


async def _answer(reader: asyncio.StreamReader) -> str | None:
    answer = talk.answered(await reader.readuntil(b"\n"))
    if answer is None:
        raise EOFError("the answer was cut")
    return answer[0].pod


async def run(host: str, port: int, udp_host: str, udp_port: int) -> dict[str, Count]:
    """Ask until SIGTERM; what came of each kind."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kept = [Kept(host, port) for _ in range(4)]
    kinds: dict[str, list[Callable[[], Awaitable[str | None]]]] = {
        "kept connections": [each.ask for each in kept],
        "new connections": [lambda: ask_anew(host, port)],
        "datagrams": [lambda: ask_datagram(udp_host, udp_port)],
    }
    counts = {name: Count() for name in kinds}

    async def go_on(count: Count, ask: Callable[[], Awaitable[str | None]]) -> None:
        while not stop.is_set():
            await count.tally(ask)
            await asyncio.sleep(PAUSE_SECONDS)

    await asyncio.gather(*(go_on(counts[name], ask) for name, asks in kinds.items() for ask in asks))
    return counts


def main() -> None:
    """Run with the command's words."""
    host, port, udp_host, udp_port = sys.argv[1:]
    counts = asyncio.run(run(host, int(port), udp_host, int(udp_port)))
    sys.stdout.write(json.dumps({name: asdict(count) for name, count in counts.items()}) + "\n")


if __name__ == "__main__":
    main()
