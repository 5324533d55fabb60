"""
Make socket calls: one JSON object per line of input, and of output.

    {"do": "open", "name": 1, "kind": "udp", "family": 4, "patience": 3} → {"result": null}
    {"do": "connect", "name": 1, "to": ["10.96.0.10", 53]} → {"result": null} or {"error": "ECONNREFUSED"}

Run by path in a pod's namespace, with the standard library alone. Ends when its input does.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

Address = tuple[str, int]

_KINDS = {"udp": (socket.SOCK_DGRAM, 0), "tcp": (socket.SOCK_STREAM, 0), "mptcp": (socket.SOCK_STREAM, 262)}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_PATTERN = bytes(range(256)) * 258  # the pattern of `serve.py`: 64 KiB from any offset
_sockets: dict[int, socket.socket] = {}


def open_(name: int, kind: str, family: int, patience: float, **how: Any) -> None:
    made = socket.socket(_FAMILIES[family], *_KINDS[kind])
    made.settimeout(patience)
    if family == 6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if how.get("mapped") else 1)
    if "bind" in how:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(tuple(how["bind"]))
    _sockets[name] = made


def connect(name: int, to: list[Any]) -> None:
    _sockets[name].connect(tuple(to))


def disconnect(name: int) -> None:
    # Python's connect() has no AF_UNSPEC. Its address is sa_family 0, and zeros.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(_sockets[name].fileno(), bytes(16), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


def ask(name: int, text: str, timeout: float) -> str:
    talker = _sockets[name]
    talker.settimeout(timeout)
    talker.send(text.encode() + b"\n")
    return talker.recv(65536).decode().rstrip("\n")


def ask_at(name: int, to: list[Any], text: str, timeout: float) -> tuple[str, Address]:
    talker = _sockets[name]
    talker.settimeout(timeout)
    talker.sendto(text.encode() + b"\n", tuple(to))
    answer, sender = talker.recvfrom(65536)
    return answer.decode().rstrip("\n"), sender[:2]


def send_at(name: int, to: list[Any], text: str) -> None:
    _sockets[name].sendto(text.encode() + b"\n", tuple(to))


def hear(name: int, timeout: float) -> tuple[str, Address]:
    talker = _sockets[name]
    talker.settimeout(timeout)
    answer, sender = talker.recvfrom(65536)
    return answer.decode().rstrip("\n"), sender[:2]


def listen(name: int) -> None:
    _sockets[name].listen()


def accept(name: int, made: int, timeout: float) -> Address:
    listener = _sockets[name]
    listener.settimeout(timeout)
    _sockets[made], (host, port, *_) = listener.accept()
    return host, port


def tell(name: int, text: str) -> None:
    _sockets[name].send(text.encode() + b"\n")


def read(name: int, timeout: float) -> str:
    talker = _sockets[name]
    talker.settimeout(timeout)
    return talker.recv(65536).decode().rstrip("\n")


def finish(name: int) -> None:
    _sockets[name].shutdown(socket.SHUT_WR)


def flood(name: int, size: int, timeout: float) -> int:
    talker = _sockets[name]
    talker.settimeout(timeout)
    talker.sendall(b"flood %d\n" % size)
    come = 0
    while come < size:
        piece = talker.recv(min(65536, size - come))
        start = come % 256
        if not piece or piece != _PATTERN[start : start + len(piece)]:
            break
        come += len(piece)
    return come


def ended(name: int) -> int:
    # The number of bytes until the peer closes.
    come = 0
    while piece := _sockets[name].recv(65536):
        come += len(piece)
    return come


def peer(name: int) -> Address:
    host, port, *_ = _sockets[name].getpeername()
    return host, port


def own(name: int) -> Address:
    host, port, *_ = _sockets[name].getsockname()
    return host, port


def close(name: int) -> None:
    _sockets.pop(name).close()


_VERBS: dict[str, Callable[..., Any]] = {
    "open": open_,
    "connect": connect,
    "disconnect": disconnect,
    "ask": ask,
    "ask_at": ask_at,
    "send_at": send_at,
    "hear": hear,
    "listen": listen,
    "accept": accept,
    "tell": tell,
    "read": read,
    "finish": finish,
    "flood": flood,
    "ended": ended,
    "peer": peer,
    "own": own,
    "close": close,
}


def answer_to(words: dict[str, Any]) -> dict[str, Any]:
    """The result of one call, or the errno's name."""
    try:
        return {"result": _VERBS[words.pop("do")](**words)}
    except TimeoutError:
        return {"error": "timeout"}
    except OSError as error:
        return {"error": errno.errorcode.get(error.errno or 0, str(error))}


def main() -> None:
    """Make calls until the input ends."""
    for line in sys.stdin:
        print(json.dumps(answer_to(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
    os._exit(0)
