"""
Open a connection every now and then, and write down what came of it: run by path, with the standard library alone.

    knocks.py RATE PATIENCE HOST:PORT ...

`RATE` times a second a connection is tried to one of the hosts, chosen by chance, for `PATIENCE`
seconds. Prints `ready`, and at the end of its input one JSON list: for each attempt when it began and
ended (seconds of the monotonic clock), the number of the host, and whether the connection stood. That is
asked of the kernel: on a busy machine it may stand long before this program is told.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import sys
import time

ESTABLISHED = 1
RESET_AT_ONCE = struct.pack("ii", 1, 0)


async def stands(host, port, patience):
    """Whether a connection came to be."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
        with contextlib.suppress(OSError):
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().sock_connect(made, (host, port))
        return made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED


async def knock(number, target, patience, found):
    host, _, port = target.rpartition(":")
    begun = time.monotonic()
    stood = await stands(host, int(port), patience)
    found.append((begun, time.monotonic(), number, stood))


async def main():
    rate, patience, *targets = sys.argv[1:]
    pause, chance = 1 / float(rate), random.Random(os.getpid())
    found: list[tuple[float, float, int, bool]] = []
    running: set[asyncio.Task[None]] = set()
    stopped = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    print("ready", flush=True)
    due = time.monotonic()
    while not stopped.done():
        number = chance.randrange(len(targets))
        task = asyncio.ensure_future(knock(number, targets[number], float(patience), found))
        running.add(task)
        task.add_done_callback(running.discard)
        due += pause
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*running)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
