"""What a place is asked to try, and what came of it: values that cross its socket."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from twinway.model.net import Protocol


@dataclass(frozen=True, slots=True)
class Attempt:
    """One thing to try."""

    host: str
    port: int
    protocol: Protocol
    source: str
    """The client's address; empty: the kernel's choice."""
    foreign_source: bool
    """Whether `source` may be an address that the place does not have."""
    payload_size: int
    timeout: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: `connected`, `dropped` (nothing came back) or `rejected` (somebody said no)."""

    outcome: str
    backend: str | None
    observed_source: str | None
    rtt_ms: float
    detail: str | None = None
    """Why, where the place itself knows."""


def has_sctp() -> bool:
    """Whether this kernel speaks SCTP."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, Protocol.SCTP.number).close()
    except OSError:
        return False
    return True
