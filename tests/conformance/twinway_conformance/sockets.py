"""Sockets of a program that runs in a pod, held by the test: `programs/talk.py` at the other end of a pipe."""

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
    """How a program of the suite is run inside the lab: by path, with the standard library alone."""
    return [sys.executable, "-I", "-S", str(PROGRAMS / program), *words]


class CallError(Exception):
    """A socket call failed in the pod; `error` is the errno's name, `timeout` where nothing came."""

    def __init__(self, what: str, error: str) -> None:
        super().__init__(f"{what}: {error}")
        self.error = error


def refusal(call: Callable[[], object]) -> str:
    """The errno's name that a socket call failed with, or `none`."""
    try:
        call()
    except CallError as failure:
        return failure.error
    return "none"


class Remote:
    """A program at a place of the lab that makes socket calls as it is told, one line each way."""

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
        """A UDP socket; `mapped` makes a v6 socket that may speak IPv4, `bind` gives it an address."""
        return self._open("udp", family, how)

    def tcp(self, family: int, **how: Any) -> Socket:
        """A TCP socket, as `udp`."""
        return self._open("tcp", family, how)

    def mptcp(self, family: int, **how: Any) -> Socket:
        """An MPTCP socket, as `udp`; raises `CallError` where the kernel has none."""
        return self._open("mptcp", family, how)

    def accepted(self, listener: int, seconds: float) -> tuple[Socket, tuple[str, int]]:
        """The next connection of a listener's number, and its client."""
        self._made += 1
        number = self._made
        host, port = self.call("accept", name=listener, made=number, timeout=seconds * self.slow)
        return Socket(self, number), (host, port)

    def call(self, verb: str, **words: Any) -> Any:
        """The result of one call; raises `CallError` with the errno's name."""
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
        """Connected; with UDP, its peer is set."""
        self._call("connect", to=[address, port])

    def disconnect(self) -> None:
        """connect(AF_UNSPEC): no peer any more."""
        self._call("disconnect")

    def ask(self, text: str, timeout: float = ANSWER_SECONDS) -> str:
        """The peer's line of answer to a line."""
        return str(self._call("ask", text=text, timeout=timeout * self._remote.slow))

    def ask_at(self, address: str, port: int, text: str) -> tuple[str, Sequence[Any]]:
        """The answer to a datagram sent to an address, and the address it came from."""
        answer, sender = self._call(
            "ask_at", to=[address, port], text=text, timeout=ANSWER_SECONDS * self._remote.slow
        )
        return str(answer), sender

    def send_at(self, address: str, port: int, text: str) -> None:
        """A datagram is sent to an address."""
        self._call("send_at", to=[address, port], text=text)

    def hear(self) -> tuple[str, Sequence[Any]]:
        """The next datagram, and the address it came from."""
        answer, sender = self._call("hear", timeout=ANSWER_SECONDS * self._remote.slow)
        return str(answer), sender

    def listen(self) -> None:
        """Connections are taken."""
        self._call("listen")

    def accept(self, seconds: float = ANSWER_SECONDS) -> tuple[Socket, tuple[str, int]]:
        """The next connection, and its client's address and port."""
        return self._remote.accepted(self._name, seconds)

    def tell(self, text: str) -> None:
        """A line is sent to the peer."""
        self._call("tell", text=text)

    def read(self, seconds: float = ANSWER_SECONDS) -> str:
        """The peer's next line; empty where the peer has closed."""
        return str(self._call("read", timeout=seconds * self._remote.slow))

    def finish(self) -> None:
        """A FIN is sent; the other direction stays open."""
        self._call("finish")

    def peer(self) -> list[Any]:
        """getpeername()."""
        return list(self._call("peer"))

    def own(self) -> list[Any]:
        """getsockname()."""
        return list(self._call("own"))

    def flood(self, size: int) -> int:
        """How many of `size` bytes came back right through the connection, sent and read at once."""
        return int(self._call("flood", size=size, timeout=20.0 * self._remote.slow))

    def ended(self) -> int:
        """How many bytes still came before the peer closed."""
        return int(self._call("ended"))

    def close(self) -> None:
        """Closed."""
        self._call("close")

    def _call(self, verb: str, **words: Any) -> Any:
        return self._remote.call(verb, name=self._name, **words)
