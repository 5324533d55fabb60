"""
Runs in pods: many long connections through a Service, and what becomes of them.

`serve PORT` echoes; `hold HOST PORT COUNT` opens connections, sends a line on each twice a second, and
prints a line of JSON with its counts every second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

PAUSE = 0.5
PATIENCE = 15.0
"""Seconds after which an answer that has not come counts as lost."""


async def _serve(port: int) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(echo, None, port, backlog=1024)
    await server.serve_forever()


async def _hold(host: str, port: int, count: int) -> None:
    counts = {"open": 0, "exchanged": 0, "refused": 0, "lost": 0, "slowest": 0.0}

    async def one(number: int) -> None:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), PATIENCE)
        except (OSError, TimeoutError):
            counts["refused"] += 1
            return
        counts["open"] += 1
        try:
            while True:
                begun = time.monotonic()
                writer.write(b"%d\n" % number)
                answer = await asyncio.wait_for(reader.readline(), PATIENCE)
                if answer != b"%d\n" % number:
                    raise ConnectionError
                counts["exchanged"] += 1
                counts["slowest"] = max(counts["slowest"], round(time.monotonic() - begun, 3))
                await asyncio.sleep(PAUSE)
        except (OSError, TimeoutError):
            counts["lost"] += 1
            counts["open"] -= 1

    held = [asyncio.create_task(one(number)) for number in range(count)]
    while held:
        await asyncio.sleep(1)
        print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve(int(sys.argv[2])))
    else:
        asyncio.run(_hold(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
