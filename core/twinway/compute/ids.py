"""
Content-derived 64-bit ids: equal content has an equal id on every node and after every restart.

There is no allocator and no state file. Two contents may meet in one id, with a chance of about
10^-9 among 100,000 backends; a `Ledger` finds it out, and who comes later by name is rejected.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Generic, TypeVar

from twinway.model.cluster import ServicePort
from twinway.model.net import IPAddress, ObjectRef, Protocol
from twinway.model.node import Backend, BackendId, BackendSet, BackendSetId, ServiceState

C = TypeVar("C", Backend, BackendSet)


def content_id(kind: bytes, content: bytes) -> int:
    """The id of `content`: 64 bits, never 0. Each kind (16 bytes at most) has ids of its own."""
    return int.from_bytes(blake2b(content, digest_size=8, person=kind).digest(), "big") or 1


def service_port(ref: ObjectRef, port: ServicePort) -> int:
    """What stands for one port of a Service in the ids of its backends."""
    return content_id(b"service port", repr((ref.namespace, ref.name, port.name, port.protocol.value)).encode())


def backend(owner: int, address: IPAddress, port: int, protocol: Protocol) -> Backend:
    """The backend at this place of the `service_port` that `owner` stands for."""
    content = owner.to_bytes(8, "big") + _place(address, port, protocol)
    return Backend(BackendId(content_id(b"backend", content)), address, port, protocol)


def backend_set(backends: Iterable[Backend]) -> BackendSet:
    """The set of these backends, which are sorted by (address, port)."""
    ordered = tuple(backends)
    # Their ids stand for them: where two meet in one, the ledger finds it out by the backends.
    content = b"".join([each.id.to_bytes(8, "big") for each in ordered])
    return BackendSet(BackendSetId(content_id(b"backend set", content)), ordered)


def _place(address: IPAddress, port: int, protocol: Protocol) -> bytes:
    # The first byte is the length of what follows: different lists of places have different bytes.
    return bytes((address.version, protocol.number)) + port.to_bytes(2, "big") + address.packed


class Ledger:
    """What the ids in use stand for, and how many Services use each."""

    def __init__(self) -> None:
        """No id is in use."""
        self._backends = _Uses[Backend]()
        self._sets = _Uses[BackendSet]()

    def enter(self, state: ServiceState) -> str | None:
        """Note the ids that a Service uses; if one stands for something else, say so and note none."""
        clash = self._backends.clash(state.serving) or self._sets.clash(each.backends for each in state.frontends)
        if clash is not None:
            return f"{_words(clash[1])} has the same id as {_words(clash[0])}: change either of them"
        self._backends.enter(state.serving)
        self._sets.enter(_sets(state))
        return None

    def leave(self, state: ServiceState) -> None:
        """Take back what `enter` noted of this state."""
        self._backends.leave(state.serving)
        self._sets.leave(_sets(state))


class _Uses(Generic[C]):
    def __init__(self) -> None:
        self._contents: dict[int, C] = {}
        self._further: dict[int, int] = {}  # uses beyond the first: most have none

    def clash(self, contents: Iterable[C]) -> tuple[C, C] | None:
        """Two contents of one id, of which one at least is new."""
        new: dict[int, C] = {}
        for content in contents:
            known = self._contents.get(content.id) or new.setdefault(content.id, content)
            if known is not content and known != content:
                return known, content
        return None

    def enter(self, contents: Iterable[C]) -> None:
        for content in contents:
            if content.id in self._contents:
                self._further[content.id] = self._further.get(content.id, 0) + 1
            else:
                self._contents[content.id] = content

    def leave(self, contents: Iterable[C]) -> None:
        for content in contents:
            further = self._further.pop(content.id, 0)
            if further > 1:
                self._further[content.id] = further - 1
            elif not further:
                del self._contents[content.id]


def _sets(state: ServiceState) -> Iterable[BackendSet]:
    return {each.backends.id: each.backends for each in state.frontends}.values()


def _words(content: Backend | BackendSet) -> str:
    if isinstance(content, Backend):
        return f"backend {content.address} port {content.port} {content.protocol}"
    return "the set of " + (", ".join(_words(each) for each in content.backends[:3]) or "no backends")
