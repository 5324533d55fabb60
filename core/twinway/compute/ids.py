"""
Content-derived 64-bit ids: equal content has an equal id on every node and after every restart.

There is no allocator and no state file. Two contents may meet in one id, with a chance of about
10^-9 among 100,000 backends; a `Ledger` finds it out, and who comes later by name is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from twinway.model.net import IPAddress, Protocol
from twinway.model.node import Backend, BackendId, BackendSet, BackendSetId, ServiceState


def content_id(kind: bytes, content: bytes) -> int:
    """The id of `content`: 64 bits, never 0. Each kind (16 bytes at most) has ids of its own."""
    return int.from_bytes(blake2b(content, digest_size=8, person=kind).digest(), "big") or 1


def backend(address: IPAddress, port: int, protocol: Protocol) -> Backend:
    """The backend of this address, port and protocol."""
    return Backend(BackendId(content_id(b"backend", _place(address, port, protocol))), address, port, protocol)


def backend_set(backends: Iterable[Backend]) -> BackendSet:
    """The set of these backends, which are sorted by (address, port)."""
    ordered = tuple(backends)
    content = b"".join(_place(each.address, each.port, each.protocol) for each in ordered)
    return BackendSet(BackendSetId(content_id(b"backend set", content)), ordered)


def _place(address: IPAddress, port: int, protocol: Protocol) -> bytes:
    # The first byte tells how long the rest is: different lists of places have different bytes.
    return bytes((address.version, protocol.number)) + port.to_bytes(2, "big") + address.packed


class Ledger:
    """What the ids in use stand for, and how many Services use each."""

    def __init__(self) -> None:
        """No id is in use."""
        self._uses: dict[tuple[type, int], tuple[Backend | BackendSet, int]] = {}

    def enter(self, state: ServiceState) -> str | None:
        """Note the ids that a Service uses; if one stands for something else, say so and note none."""
        entries = _entries(state)
        for key, content in entries.items():
            known = self._uses.get(key)
            if known is not None and known[0] != content:
                return f"{_words(content)} has the same id as {_words(known[0])}: change either of them"
        for key, content in entries.items():
            self._uses[key] = (content, self._uses[key][1] + 1 if key in self._uses else 1)
        return None

    def leave(self, state: ServiceState) -> None:
        """Take back what `enter` noted of this state."""
        for key in _entries(state):
            content, uses = self._uses.pop(key)
            if uses > 1:
                self._uses[key] = (content, uses - 1)


def _entries(state: ServiceState) -> dict[tuple[type, int], Backend | BackendSet]:
    entries: dict[tuple[type, int], Backend | BackendSet] = {(Backend, each.id): each for each in state.serving}
    entries.update({(BackendSet, each.backends.id): each.backends for each in state.frontends})
    return entries


def _words(content: Backend | BackendSet) -> str:
    if isinstance(content, Backend):
        return f"backend {content.address} port {content.port} {content.protocol}"
    return "the set of " + ", ".join(_words(each) for each in content.backends[:2]) + ", …"
