"""
Services in the kernel: four tables, kept up to date by what changed.

Writes go backends, slots, frontends; removals the other way round. A set's id is its content, so a
frontend turns to a new set in one write, and no packet meets a slot that is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from twinway.model.difference import difference
from twinway.model.net import ObjectRef
from twinway.model.node import BackendSet, ServiceState
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.sync import Removals, Step, Writes, differences, perform

TABLES = ("be", "udpbe", "slot", "fe")
"""In the order in which they are written."""

Services = Mapping[ObjectRef, ServiceState]
Entries = dict[bytes, bytes]
Key = TypeVar("Key", int, bytes)


class Clients(Protocol):
    """Sockets that asked before a change, and would not ask again by themselves."""

    def leave(self, backends: Mapping[bytes, bytes], /) -> None:
        """Have them leave backends (entries of tw_be) that are over."""

    def ask_again(self, frontends: Collection[bytes], /) -> None:
        """Have them ask again for what has become an address of a Service (keys of tw_fe)."""


class ServiceTables:
    """tw_be, tw_udpbe, tw_slot and tw_fe, and how many Services share each backend, end, set and address."""

    def __init__(self, maps: Mapping[str, Map], clients: Clients) -> None:
        """The open maps by their short names, and who has to know of what changes in them."""
        self._maps = tuple(maps[name] for name in TABLES)
        self._clients = clients
        self._backends: Counter[int] = Counter()
        self._ends: Counter[bytes] = Counter()
        self._sets: Counter[int] = Counter()
        self._addresses: Counter[bytes] = Counter()

    def rebuild(self, services: Services, *, remove: bool) -> Step:
        """Compare the kernel with all of `services` and make it so; what is left over goes if `remove`."""
        self._backends, self._ends, self._sets, self._addresses = Counter(), Counter(), Counter(), Counter()
        for service in services.values():
            self._count(service, 1)
        wanted = _entries(services.values())
        plan = differences(self._maps, wanted, remove=remove)
        table, writes = plan[0][-1]
        new = [key for key in writes if table.lookup(key) is None]
        # where there was no Service at all, somebody else may have been serving
        return self._perform(plan, new if len(new) < len(wanted[-1]) else [])

    def change(self, previous: Services, current: Services) -> Step:
        """Carry out the difference of two states; the first is what the kernel holds."""
        went, came = difference(previous, current)
        if not came and not went:
            return Step()
        new, old = _entries(came), _entries(went)
        fresh = [key for key in new[-1] if not self._addresses[key]]
        for service in came:
            self._count(service, 1)
        for service in went:
            self._count(service, -1)
        writes = tuple(
            (table, {key: value for key, value in entries.items() if before.get(key) != value})
            for table, entries, before in zip(self._maps, new, old, strict=True)
        )
        return self._perform((writes, self._removals(old, new, went)), fresh)

    # Backends go last, when nobody is given them any more and those who were have left: if this
    # process ends before, the next one finds them in the table.
    def _perform(self, plan: tuple[Writes, Removals], fresh: Collection[bytes]) -> Step:
        writes, (backends, *others) = plan
        step = perform((writes, others))
        self._clients.ask_again(fresh)
        table, keys = backends
        found = ((key, table.lookup(key)) for key in keys)
        self._clients.leave({key: value for key, value in found if value is not None})
        return step + perform(((), (backends,)))

    def _removals(
        self, old: tuple[Entries, ...], new: tuple[Entries, ...], went: Iterable[ServiceState]
    ) -> tuple[tuple[Map, list[bytes]], ...]:
        dead_backends = {b.id for service in went for b in service.serving if not self._backends[b.id]}
        dead_sets = {f.backends.id: f.backends for service in went for f in service.frontends}
        ends = [key for key in old[1] if not self._ends[key]]
        slots = [key for s in dead_sets.values() if not self._sets[s.id] for key, _ in encode.slots(s)]
        frontends = [key for key in old[-1] if key not in new[-1] and not self._addresses[key]]
        self._forget(went)
        backends = [encode.backend_key(identity) for identity in dead_backends]
        return tuple(zip(self._maps, (backends, ends, slots, frontends), strict=True))

    def _count(self, service: ServiceState, step: int) -> None:
        frontends = encode.servable(service.frontends)
        for backend in service.serving:
            self._backends[backend.id] += step
        for end in encode.datagram_ends(service.serving):
            self._ends[end] += step
        for identity in {frontend.backends.id for frontend in frontends}:
            self._sets[identity] += step
        for frontend in frontends:
            self._addresses[encode.frontend_key(frontend)] += step
        for key in {encode.address_key(frontend.address) for frontend in frontends}:
            self._addresses[key] += step

    # Counters keep no zeros, so that they are as large as the tables and no larger.
    def _forget(self, went: Iterable[ServiceState]) -> None:
        for service in went:
            frontends = encode.servable(service.frontends)
            _drop_zeros(self._backends, (backend.id for backend in service.serving))
            _drop_zeros(self._ends, encode.datagram_ends(service.serving))
            _drop_zeros(self._sets, (frontend.backends.id for frontend in frontends))
            _drop_zeros(self._addresses, (encode.frontend_key(frontend) for frontend in frontends))
            _drop_zeros(self._addresses, (encode.address_key(frontend.address) for frontend in frontends))


def _drop_zeros(counter: Counter[Key], keys: Iterable[Key]) -> None:
    for key in keys:
        if not counter[key]:
            counter.pop(key, None)


def _entries(services: Iterable[ServiceState]) -> tuple[Entries, Entries, Entries, Entries]:
    backends: Entries = {}
    ends: Entries = {}
    slots: Entries = {}
    frontends: Entries = {}
    sets: dict[int, BackendSet] = {}
    for service in services:
        for backend in service.serving:
            backends[encode.backend_key(backend.id)] = encode.backend_value(backend)
        ends |= encode.datagram_ends(service.serving)
        for frontend in encode.servable(service.frontends):
            sets[frontend.backends.id] = frontend.backends
            frontends[encode.frontend_key(frontend)] = encode.frontend_value(frontend.backends)
            frontends[encode.address_key(frontend.address)] = encode.ADDRESS_VALUE
    for backend_set in sets.values():
        slots.update(encode.slots(backend_set))
    return backends, ends, slots, frontends
