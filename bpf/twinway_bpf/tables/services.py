"""
Services in the kernel: four tables, updated by the difference of two states.

Backends are written first, then slots, then frontends; removals go in the reverse order. The id of a backend set
derives from its content, so one write moves a frontend to another set, and no packet finds a slot missing.
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
"""The tables, in the order of writes."""

Services = Mapping[ObjectRef, ServiceState]
Entries = dict[bytes, bytes]
Key = TypeVar("Key", int, bytes)


class Clients(Protocol):
    """Sockets that were given a backend before a change, and would keep it."""

    def leave(self, backends: Mapping[bytes, bytes], /) -> None:
        """Destroy sockets that are connected to backends which are about to be removed (entries of tw_be)."""

    def ask_again(self, frontends: Collection[bytes], /) -> None:
        """Destroy sockets that connected to addresses before those were a Service's (keys of tw_fe)."""


class ServiceTables:
    """tw_be, tw_udpbe, tw_slot and tw_fe, with counts of the Services that share backends, sets and addresses."""

    def __init__(self, maps: Mapping[str, Map], clients: Clients) -> None:
        """`maps` has the open maps by their short names; `clients` hears of backends and frontends that change."""
        self._maps = tuple(maps[name] for name in TABLES)
        self._clients = clients
        self._backends: Counter[int] = Counter()
        self._ends: Counter[bytes] = Counter()
        self._sets: Counter[int] = Counter()
        self._addresses: Counter[bytes] = Counter()

    def rebuild(self, services: Services, *, remove: bool) -> Step:
        """Compare the kernel with all of `services` and write the difference. Entries are removed if `remove`."""
        self._backends, self._ends, self._sets, self._addresses = Counter(), Counter(), Counter(), Counter()
        for service in services.values():
            self._count(service, 1)
        wanted = _entries(services.values())
        plan = differences(self._maps, wanted, remove=remove)
        table, writes = plan[0][-1]
        new = [key for key in writes if table.lookup(key) is None]
        # where every entry is new, something else may have served these addresses, and its clients stay
        return self._perform(plan, new if len(new) < len(wanted[-1]) else [])

    def change(self, previous: Services, current: Services) -> Step:
        """Write the difference of two states. The kernel must hold the first."""
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

    # Backends are removed last, when no frontend leads to them and clients have left them. If this process ends
    # before that, the next one finds them in the table.
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

    # Drops zeros, so that the counters do not grow larger than the tables.
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
            frontends[encode.frontend_key(frontend)] = encode.frontend_value(frontend)
            frontends[encode.address_key(frontend.address)] = encode.ADDRESS_VALUE
    for backend_set in sets.values():
        slots.update(encode.slots(backend_set))
    return backends, ends, slots, frontends
