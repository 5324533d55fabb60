r"""
What a probe says to a responder, and what comes back; the same on every protocol.

    probe       twinway SIZE\n  and SIZE bytes
    responder   {"pod": …, "client": …, "port": …, "size": SIZE}\n  and the same bytes

On a stream a client may go on asking. Who speaks HTTP instead (`curl`, `wrk`) gets the facts as JSON.
"""

from __future__ import annotations

import json
from typing import NamedTuple

LARGEST = 60_000
"""Bytes of payload: what fits into a datagram with the responder's facts before it."""
_WORD = b"twinway "


class Facts(NamedTuple):
    """What a responder tells: who it is, and which client it sees."""

    pod: str | None
    client: str
    port: int

    def line(self, size: int) -> bytes:
        """The facts before an answer of `size` bytes."""
        return json.dumps({**self._asdict(), "size": size}).encode() + b"\n"


def request(payload: bytes) -> bytes:
    """What a probe sends."""
    return b"%s%d\n%s" % (_WORD, len(payload), payload)


class Asked(NamedTuple):
    """One whole request at the beginning of what has come in."""

    length: int
    payload: bytes


def asked(buffer: bytes | bytearray) -> Asked | None:
    """The first request in `buffer`, or None until it is whole; raises `ValueError` for anything else."""
    end = buffer.find(b"\n", 0, 64)
    if end < 0:
        if len(buffer) >= 64:
            raise ValueError("no request")
        return None
    line = bytes(buffer[:end])
    if not line.startswith(_WORD) or not line[len(_WORD) :].isdigit():
        raise ValueError("no request")
    length = end + 1 + int(line[len(_WORD) :])
    return Asked(length, bytes(buffer[end + 1 : length])) if len(buffer) >= length else None


def answer(facts: Facts, payload: bytes) -> bytes:
    """What a responder sends back."""
    return facts.line(len(payload)) + payload


def answered(buffer: bytes | bytearray) -> tuple[Facts, bytes] | None:
    """The answer in `buffer`, or None until it is whole; raises `ValueError` for anything else."""
    end = buffer.find(b"\n")
    if end < 0:
        return None
    words = json.loads(bytes(buffer[:end]))
    payload = bytes(buffer[end + 1 :])
    if len(payload) < words["size"]:
        return None
    return Facts(words["pod"], words["client"], words["port"]), payload


def http_request(buffer: bytes | bytearray) -> tuple[int, bytes] | None:
    """Length and text of the first HTTP request without a body, or None until its head is whole."""
    end = buffer.find(b"\r\n\r\n")
    return None if end < 0 else (end + 4, bytes(buffer[:end]))


def http_answer(facts: Facts, head: bytes) -> tuple[bytes, bool]:
    """The answer to an HTTP request, and whether the connection stays."""
    first, _, rest = head.partition(b"\r\n")
    method, _, version = first.partition(b" ")[0], *first.rpartition(b" ")[1:]
    wishes = rest.lower()
    stays = b"connection: close" not in wishes and (version == b"HTTP/1.1" or b"keep-alive" in wishes)
    body = facts.line(0)
    lines = (
        b"HTTP/1.1 200 OK",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"Connection: keep-alive" if stays else b"Connection: close",
        b"",
        b"" if method == b"HEAD" else body,
    )
    return b"\r\n".join(lines), stays
