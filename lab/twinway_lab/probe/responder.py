"""The other end of every probe: answers on the ports that a pod declares, with who it is and whom it sees."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import cast

from twinway.errors import LabError
from twinway.model.net import Protocol
from twinway_lab.plan.plan import PodPort
from twinway_lab.probe import talk
from twinway_lab.probe.attempts import has_sctp
from twinway_lab.probe.talk import Facts

ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 (the place's own namespace)
_BACKLOG = 4096
_BUFFER = 4 << 20
_LARGEST_HEAD = 64 << 10
_PKTINFO = {
    socket.AF_INET: (socket.IPPROTO_IP, 8, 8),  # IP_PKTINFO, which Python does not name
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO),
}


async def serve(pod: str | None, ports: Iterable[PodPort]) -> None:
    """
    Listen on all `ports`, each family by itself; raises `LabError` for a port that is taken.

    SCTP ports are passed over on a kernel without SCTP.
    """
    for port in ports:
        for family in ANY:
            if port.protocol is Protocol.UDP:
                _serve_datagrams(pod, _bound(family, port))
            elif port.protocol is Protocol.TCP or has_sctp():
                listening = _bound(family, port)
                loop = asyncio.get_running_loop()
                await loop.create_server(lambda: _Stream(pod), sock=listening, backlog=_BACKLOG)


def _bound(family: socket.AddressFamily, port: PodPort) -> socket.socket:
    kind = socket.SOCK_DGRAM if port.protocol is Protocol.UDP else socket.SOCK_STREAM
    made = socket.socket(family, kind, port.protocol.number)
    made.settimeout(0)
    if family is socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if port.protocol is Protocol.TCP:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((ANY[family], port.number))
    except OSError as error:
        made.close()
        who = f"port {port.number} {port.protocol}"
        raise LabError(f"{who} cannot be listened on: {error.strerror}: declare another port") from error
    return made


class _Stream(asyncio.Protocol):
    """One connection: any number of requests, of the probe's kind or HTTP."""

    def __init__(self, pod: str | None) -> None:
        self._pod = pod
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        client, port, *_ = transport.get_extra_info("peername")
        self._facts = Facts(self._pod, client, port)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._buffer and self._answer_one():
                pass
        except ValueError:
            self._transport.close()

    def _answer_one(self) -> bool:
        if self._buffer.startswith((b"GET ", b"HEAD ")):
            return self._answer_http()
        asked = talk.asked(self._buffer)
        if asked is None:
            return False
        del self._buffer[: asked.length]
        self._transport.write(talk.answer(self._facts, asked.payload))
        return True

    def _answer_http(self) -> bool:
        request = talk.http_request(self._buffer)
        if request is None:
            if len(self._buffer) > _LARGEST_HEAD:
                raise ValueError("no end of the request's head")
            return False
        length, head = request
        del self._buffer[:length]
        words, stays = talk.http_answer(self._facts, head)
        self._transport.write(words)
        if not stays:
            self._transport.close()
        return stays


def _serve_datagrams(pod: str | None, made: socket.socket) -> None:
    level, option, info = _PKTINFO[made.family]
    made.setsockopt(level, option, 1)
    made.setsockopt(socket.SOL_SOCKET, 33, _BUFFER)  # SO_RCVBUFFORCE: hundreds may ask at once

    def answer_all() -> None:
        while True:
            try:
                data, ancillary, _, client = made.recvmsg(1 << 16, 256)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error for an earlier answer: that client has gone
            _answer_datagram(pod, made, data, client, [each for each in ancillary if each[:2] == (level, info)])

    asyncio.get_running_loop().add_reader(made, answer_all)


def _answer_datagram(
    pod: str | None,
    made: socket.socket,
    data: bytes,
    client: tuple[str, int],
    asked_at: list[tuple[int, int, bytes]],
) -> None:
    try:
        asked = talk.asked(data)
    except ValueError:
        asked = None
    payload = data if asked is None else asked.payload
    words = talk.answer(Facts(pod, client[0], client[1]), payload)
    # The answer leaves from the address that was asked, and by the way that the routes say.
    sender = [(level, kind, _from_anywhere(made.family, info)) for level, kind, info in asked_at]
    try:
        made.sendmsg([words], sender, 0, client)
    except OSError:
        return  # no way back to this client: for it that is silence


def _from_anywhere(family: int, info: bytes) -> bytes:
    # struct in_pktinfo {ifindex, spec_dst, addr}; struct in6_pktinfo {addr, ifindex}: no interface,
    # but for a link-local address, which means nothing without one.
    if family == socket.AF_INET:
        return bytes(4) + info[4:8] + bytes(4)
    return info if info.startswith(b"\xfe\x80") else info[:16] + bytes(4)
