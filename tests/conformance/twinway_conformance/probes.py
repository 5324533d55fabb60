"""Queries of probes, their answers, the expected answers, and the messages about differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

CONNECTED, DROPPED, REJECTED = "connected", "dropped", "rejected"
SILENCE_SECONDS = 0.5
"""Timeout where silence is expected. A wrong answer comes within milliseconds."""
AT_ONCE_SECONDS = 1.0
"""Timeout where the first packet must be answered or refused: TCP sends the SYN again only later."""
ANSWER_SECONDS = 3.0
"""Timeout where an answer is expected: room for a slow machine, too short for a second retry of TCP."""


@dataclass(frozen=True, slots=True)
class Query:
    """One line of `twinway lab probe --batch`."""

    source: str
    to: str
    protocol: str = "tcp"
    count: int = 1
    timeout: float = ANSWER_SECONDS
    payload: int = 0
    """Bytes in each direction; 0 means the lab's default."""
    address: str = ""
    """The client's own address; empty means that the kernel chooses it."""

    def line(self, slow: float = 1.0) -> dict[str, Any]:
        """The query in the format of the lab, with its timeout multiplied by `slow`."""
        words: dict[str, Any] = {"from": self.source, "to": self.to, "protocol": self.protocol}
        words |= {"count": self.count, "timeout": self.timeout * slow}
        if self.payload:
            words["payload-size"] = self.payload
        if self.address:
            words["source"] = self.address
        return words

    def command(self) -> str:
        """The same query as one command, without the program's name."""
        words = [f"lab probe --from {self.source} --to '{self.to}' --protocol {self.protocol}"]
        words.append(f"--timeout {self.timeout:g}")
        if self.count != 1:
            words.append(f"--count {self.count}")
        if self.payload:
            words.append(f"--payload-size {self.payload}")
        if self.address:
            words.append(f"--source {self.address}")
        return " ".join(words)

    def __str__(self) -> str:
        """`shop/client → 10.96.0.10:80 tcp`."""
        return f"{self.source} → {self.to} {self.protocol}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the lab."""

    outcome: str
    backend: str | None
    observed_source: str | None
    rtt_ms: float | None

    @classmethod
    def of(cls, words: dict[str, Any]) -> Answer:
        """The answer from the lab's JSON."""
        return cls(words["outcome"], words["backend"], words["observed_source"], words["rtt_ms"])

    def __str__(self) -> str:
        """`connected by shop/near`, or the outcome alone."""
        return f"{self.outcome} by {self.backend}" if self.backend else self.outcome


@dataclass(frozen=True, slots=True)
class Due:
    """A query and its expected answer."""

    query: Query
    outcomes: frozenset[str]
    backends: frozenset[str] | None = None
    """The pods that may answer; None means any."""
    sources: frozenset[str] | None = field(default=None)
    """The client addresses that the backend may see; None means any."""

    def misfit(self, answer: Answer) -> str | None:
        """One line with the expected and the actual answer, or None if the answer is as expected."""
        if answer.outcome not in self.outcomes:
            return f"{self.query}: expected {_either(self.outcomes)}, got {answer}"
        if answer.outcome != CONNECTED:
            return None
        if self.backends is not None and answer.backend not in self.backends:
            return f"{self.query}: expected an answer by {_either(self.backends)}, got {answer}"
        if self.sources is not None and answer.observed_source not in self.sources:
            return f"{self.query}: expected client {_either(self.sources)}, got {answer.observed_source}"
        return None


def connects(
    query: Query, backends: Iterable[str] | str | None = None, sources: Iterable[str] | None = None
) -> Due:
    """Expect an answer to the query, by one of the backends if they are given."""
    if isinstance(backends, str):
        backends = (backends,)
    return Due(
        query,
        frozenset({CONNECTED}),
        None if backends is None else frozenset(backends),
        None if sources is None else frozenset(sources),
    )


def drops(source: str, to: str, protocol: str = "tcp", *, address: str = "") -> Due:
    """Expect silence."""
    return Due(Query(source, to, protocol, timeout=SILENCE_SECONDS, address=address), frozenset({DROPPED}))


def rejects(source: str, to: str, protocol: str = "tcp") -> Due:
    """Expect a refusal at once: a reset, or ICMP port unreachable."""
    return Due(Query(source, to, protocol, timeout=AT_ONCE_SECONDS), frozenset({REJECTED}))


def misfits(due: Sequence[Due], answers: Sequence[Sequence[Answer]]) -> list[str]:
    """One line for each answer that is not as expected, in the order of the queries and without repetition."""
    lines = [
        line
        for expected, given in zip(due, answers, strict=True)
        for answer in given
        if (line := expected.misfit(answer))
    ]
    return list(dict.fromkeys(lines))


def tallied(answers: Iterable[Answer]) -> dict[str, int]:
    """The number of answers by the pod that answered, or by outcome if none did."""
    return dict(sorted(Counter(answer.backend or answer.outcome for answer in answers).items()))


def _either(words: Iterable[str]) -> str:
    return " or ".join(sorted(words))
