"""Sockets of a program that runs in a pod. The test controls `programs/talk.py` there through a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twinway_conformance.lab import Lab, LabError
from twinway_conformance.probes import ANSWER_SECONDS

PROGRAMS = Path(__file__).parent / "programs"


def command(program: str, *words: str) -> list[str]:
    """The command that runs a program of the suite in the lab: by path, with the standard library alone."""
    return [sys.executable, "-I", "-S", str(PROGRAMS / program), *words]


class CallError(Exception):
    """A socket call failed in the pod; `error` is the errno's name, or `timeout`."""

    def __init__(self, what: str, error: str) -> None:
        super().__init__(f"{what}: {error}")
        self.error = error


def refusal(call: Callable[[], object]) -> str:
    """The name of the errno that a socket call fails with, or `none`."""
    try:
        call()
    except CallError as failure:
        return failure.error
    return "none"


class Remote:
    """A program at a place of the lab that makes socket calls: one line for a call, one for its result."""

    program = "talk.py"

    def __init__(self, lab: Lab, place: str) -> None:
        self.place, self.slow = place, lab.slow
        self._process = lab.start(place, *command(self.program))
        self._made = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def udp(self, family: int, **how: Any) -> Socket:
        """A UDP socket. `mapped` allows IPv4 on an IPv6 socket; `bind` is its address."""
        return self._open("udp", family, how)

    def tcp(self, family: int, **how: Any) -> Socket:
        """A TCP socket, with the options of `udp`."""
        return self._open("tcp", family, how)

    def mptcp(self, family: int, **how: Any) -> Socket:
        """An MPTCP socket, with the options of `udp`. Raises `CallError` if the kernel has no MPTCP."""
        return self._open("mptcp", family, how)

    def accepted(self, listener: int, seconds: float) -> tuple[Socket, tuple[str, int]]:
        """The next connection of the listener with this number, and the client's address and port."""
        self._made += 1
        number = self._made
        host, port = self.call("accept", name=listener, made=number, timeout=seconds * self.slow)
        return Socket(self, number), (host, port)

    def call(self, verb: str, **words: Any) -> Any:
        """Make one call and return its result. Raises `CallError`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": verb} | words) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise LabError(f"the program at {self.place} has ended with {self._process.wait(timeout=10)}")
        answer = json.loads(line)
        if "error" in answer:
            raise CallError(f"{verb} at {self.place}", answer["error"])
        return answer["result"]

    def _open(self, kind: str, family: int, how: dict[str, Any]) -> Socket:
        self._made += 1
        how["patience"] = ANSWER_SECONDS * self.slow
        self.call("open", name=self._made, kind=kind, family=family, **how)
        return Socket(self, self._made)


class Socket:
    """One socket of a `Remote`. Addresses are [host, port], IPv4-mapped ones as the kernel shows them."""

    def __init__(self, remote: Remote, name: int) -> None:
        self._remote, self._name = remote, name

    def connect(self, address: str, port: int) -> None:
        """Connect the socket. A UDP socket gets a peer."""
        self._call("connect", to=[address, port])

    def disconnect(self) -> None:
        """connect(AF_UNSPEC): remove the peer."""
        self._call("disconnect")

    def ask(self, text: str, timeout: float = ANSWER_SECONDS) -> str:
        """Send a line to the peer, and return the line that it answers."""
        return str(self._call("ask", text=text, timeout=timeout * self._remote.slow))

    def ask_at(self, address: str, port: int, text: str) -> tuple[str, Sequence[Any]]:
        """Send a datagram to an address; return the answer, and the address that it came from."""
        answer, sender = self._call(
            "ask_at", to=[address, port], text=text, timeout=ANSWER_SECONDS * self._remote.slow
        )
        return str(answer), sender

    def send_at(self, address: str, port: int, text: str) -> None:
        """Send a datagram to an address."""
        self._call("send_at", to=[address, port], text=text)

    def hear(self) -> tuple[str, Sequence[Any]]:
        """The next datagram, and the address that it came from."""
        answer, sender = self._call("hear", timeout=ANSWER_SECONDS * self._remote.slow)
        return str(answer), sender

    def listen(self) -> None:
        """Accept connections from now on."""
        self._call("listen")

    def accept(self, seconds: float = ANSWER_SECONDS) -> tuple[Socket, tuple[str, int]]:
        """The next connection, and its client's address and port."""
        return self._remote.accepted(self._name, seconds)

    def tell(self, text: str) -> None:
        """Send a line to the peer."""
        self._call("tell", text=text)

    def read(self, seconds: float = ANSWER_SECONDS) -> str:
        """The peer's next line, or an empty one if it has closed."""
        return str(self._call("read", timeout=seconds * self._remote.slow))

    def finish(self) -> None:
        """Send a FIN. The other direction stays open."""
        self._call("finish")

    def peer(self) -> list[Any]:
        """getpeername()."""
        return list(self._call("peer"))

    def own(self) -> list[Any]:
        """getsockname()."""
        return list(self._call("own"))

    def flood(self, size: int) -> int:
        """Request `size` bytes, and return how many arrive as sent."""
        return int(self._call("flood", size=size, timeout=20.0 * self._remote.slow))

    def ended(self) -> int:
        """Read until the peer closes, and return the number of bytes."""
        return int(self._call("ended"))

    def close(self) -> None:
        """Close the socket."""
        self._call("close")

    def _call(self, verb: str, **words: Any) -> Any:
        return self._remote.call(verb, name=self._name, **words)
