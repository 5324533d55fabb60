"""Asking from inside a place: one connection, or one datagram, and what came of it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from ipaddress import ip_address

from twinway.errors import LabError
from twinway.model.net import Protocol
from twinway_lab.probe import talk
from twinway_lab.probe.attempts import Attempt, Outcome
from twinway_lab.probe.patience import Patience

IP_FREEBIND = 15
_CHUNK = 1 << 16
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH)
_NOT_TRIED = (errno.EADDRNOTAVAIL, errno.EMSGSIZE, errno.ENOBUFS)


class _NoRouteError(Exception):
    """The place's own routes lead nowhere: nothing was sent, so nobody can have rejected it."""


async def attempt(query: Attempt, patience: Patience) -> Outcome:
    """What came of it, within the time given; raises `LabError` where it could not even be tried."""
    begun = time.perf_counter()

    def took() -> float:
        return round((time.perf_counter() - begun) * 1000, 3)

    made = _client(query)
    try:
        facts, payload = await patience.within(query.timeout, _exchange(made, query))
    except _NoRouteError:
        return Outcome("dropped", None, None, took(), f"no route to {query.host}")
    except TimeoutError:  # also the kernel's own, after its last try
        return Outcome("dropped", None, None, took())
    except (EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _NOT_TRIED:
            raise LabError(f"{query.host}: {error.strerror}") from error
        return Outcome("rejected", None, None, took())
    except ValueError:  # some other program answers there
        return Outcome("connected", None, None, took())
    finally:
        made.close()
    if payload != bytes(query.payload_size):
        return Outcome("dropped", None, None, took())  # what came back is not what was sent
    return Outcome("connected", facts.pod, facts.client, took())


def _client(query: Attempt) -> socket.socket:
    family = socket.AF_INET if ip_address(query.host).version == 4 else socket.AF_INET6
    kind = socket.SOCK_DGRAM if query.protocol is Protocol.UDP else socket.SOCK_STREAM
    made = socket.socket(family, kind, query.protocol.number)
    made.settimeout(0)
    if query.source:
        made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, query.foreign_source)
        try:
            made.bind((query.source, 0))
        except OSError as error:
            made.close()
            reason = f"cannot be used towards {query.host}: {error.strerror}"
            raise LabError(f"source {query.source}: {reason}") from error
    return made


async def _exchange(made: socket.socket, query: Attempt) -> tuple[talk.Facts, bytes]:
    loop = asyncio.get_running_loop()
    to = query.host, query.port
    at_once = made.connect_ex(to)
    if at_once in _NO_ROUTE:  # later, these are what somebody on the way has answered
        raise _NoRouteError
    if at_once not in (0, errno.EINPROGRESS):
        raise OSError(at_once, os.strerror(at_once))
    if at_once:
        await loop.sock_connect(made, to)
    words = talk.request(bytes(query.payload_size))
    if query.protocol is Protocol.UDP:
        made.send(words)
        return _whole(await loop.sock_recv(made, _CHUNK))
    await loop.sock_sendall(made, words)
    came = bytearray()
    while (answer := talk.answered(came)) is None:
        chunk = await loop.sock_recv(made, _CHUNK)
        if not chunk:
            raise EOFError
        came += chunk
    return answer


def _whole(datagram: bytes) -> tuple[talk.Facts, bytes]:
    answer = talk.answered(datagram)
    if answer is None:
        raise EOFError
    return answer
