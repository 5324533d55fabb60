"""Services in the kernel while they change: what a client finds is the old or the new, and never a hole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import ip_address
from itertools import pairwise, product
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bpf import reader
from tests.unit.bpf.recording import Contents, Log, contents, recorded, replayed
from twinway.errors import MapError
from twinway.model.net import IPAddress, ObjectRef, Protocol
from twinway.model.node import Backend, BackendId, BackendSet, BackendSetId, Frontend, Scope, ServiceState
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.services import ServiceTables

Services = Mapping[ObjectRef, ServiceState]

NAMES = ("a", "b", "c")
ADDRESSES = [ip_address(text) for text in ("10.96.0.1", "10.96.0.2", "fd96::1")]
BACKENDS = [
    *(
        Backend(BackendId(100 + number), ip_address(f"10.0.0.{number}"), 8080, Protocol.TCP)
        for number in (1, 2, 3)
    ),
    # of two Services, at one and the same end
    *(Backend(BackendId(number), ip_address("10.0.0.4"), 8080, Protocol.UDP) for number in (104, 105)),
]
PORTS = (80, 81)
PLACES = list(product(ADDRESSES, PORTS, Protocol))
QUESTIONS = [(address, port, protocol.number) for address, port, protocol in PLACES]


def backend_set(backends: Iterable[Backend]) -> BackendSet:
    """A set whose id is its content."""
    found = tuple(sorted(set(backends), key=lambda backend: backend.id))
    return BackendSet(BackendSetId(1 + sum(1 << (backend.id % 60) for backend in found)), found)


@st.composite
def services(draw: st.DrawFn) -> Services:
    """Up to three Services on few addresses, no place claimed twice; backends and sets are shared at will."""
    claims = draw(st.dictionaries(st.sampled_from(PLACES), st.sampled_from(NAMES), max_size=6))
    owners = {*claims.values(), *draw(st.sets(st.sampled_from(NAMES)))}  # headless ones have no place
    places = {name: sorted((each for each, owner in claims.items() if owner == name), key=str) for name in owners}
    return MappingProxyType({_ref(name): draw(_services(name, places[name])) for name in sorted(owners)})


@st.composite
def _services(draw: st.DrawFn, name: str, places: list[tuple[IPAddress, int, Protocol]]) -> ServiceState:
    some = st.lists(st.sampled_from(BACKENDS), max_size=4)
    frontends = tuple(
        Frontend(address, port, protocol, Scope.INTERNAL, backend_set(draw(some)))
        for address, port, protocol in places
    )
    used = {backend for frontend in frontends for backend in frontend.backends.backends}
    serving = sorted(used | set(draw(some)), key=lambda backend: backend.id)
    return ServiceState(_ref(name), frontends, tuple(serving))


def _ref(name: str) -> ObjectRef:
    return ObjectRef("Service", "shop", name)


@st.composite
def histories(draw: st.DrawFn) -> list[Services]:
    """States that follow one another; a Service that stays as it was is the same object."""
    history: list[Services] = [draw(services())]
    for wanted in draw(st.lists(services(), max_size=4)):
        before = history[-1]
        history.append({ref: before[ref] if before.get(ref) == value else value for ref, value in wanted.items()})
    return history


class Told:
    """What clients are told of, and what is looked at when they are."""

    def __init__(
        self,
        *,
        leave: Callable[[Mapping[bytes, bytes]], None] = lambda gone: None,
        ask_again: Callable[[Collection[bytes]], None] = lambda come: None,
    ) -> None:
        self.left: set[bytes] = set()
        self.come: list[bytes] = []
        self._leave, self._ask_again = leave, ask_again

    def leave(self, backends: Mapping[bytes, bytes], /) -> None:
        """Backends are over."""
        self.left |= backends.keys()
        self._leave(backends)

    def ask_again(self, frontends: Collection[bytes], /) -> None:
        """Addresses are a Service's by now."""
        self.come += frontends
        self._ask_again(frontends)


def tables_on(maps: Mapping[str, Map], told: Told | None = None) -> ServiceTables:
    """The tables of a new process."""
    return ServiceTables(maps, told or Told())


def from_nothing(state: Services) -> Contents:
    """What a first process on empty maps makes of a state."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(state, remove=True)
        return contents(maps)


def chosen(tables: Contents) -> dict[tuple[object, ...], set[tuple[bytes, int] | str]]:
    """Every answer that a client may get to each question."""
    return {place: {reader.backend(tables, place, random) for random in range(12)} for place in QUESTIONS}


@settings(max_examples=60, deadline=None)
@given(histories())
def test_changed_is_rebuilt(history: list[Services]) -> None:
    """However a state was reached, change by change, the tables are as if from nothing."""
    with recorded(Log()) as maps:
        tables = tables_on(maps)
        tables.rebuild(history[0], remove=True)
        for before, after in pairwise(history):
            tables.change(before, after)
            assert contents(maps) == from_nothing(after)


@settings(max_examples=60, deadline=None)
@given(histories())
def test_rebuilt_is_rebuilt(history: list[Services]) -> None:
    """A process that finds another state in the tables makes them as if from nothing."""
    with recorded(Log()) as maps:
        for state in history:
            tables_on(maps).rebuild(state, remove=True)
            assert contents(maps) == from_nothing(state)


@settings(max_examples=40, deadline=None)
@given(services())
def test_tables_say_what_the_state_says(state: Services) -> None:
    """A client of each frontend finds its set's backends, all of them, and nothing anywhere else."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(state, remove=True)
        found = chosen(contents(maps))
    wanted: dict[tuple[object, ...], set[tuple[bytes, int] | str]] = {}
    frontends = [f for service in state.values() for f in service.frontends if f.protocol is not Protocol.SCTP]
    for place in QUESTIONS:
        known = any(frontend.address == place[0] for frontend in frontends)
        wanted[place] = {"no port" if known else "no service"}
    for each in frontends:
        ends = {(encode.address(backend.address), backend.port) for backend in each.backends.backends}
        wanted[each.address, each.port, each.protocol.number] = {*ends} or {"no backend"}
    assert found == wanted


@settings(max_examples=40, deadline=None)
@given(services())
def test_same_state_writes_nothing(state: Services) -> None:
    """A state in force is not written again: not by change, nor by comparison, nor by another process."""
    log = Log()
    with recorded(log) as maps:
        tables = tables_on(maps)
        tables.rebuild(state, remove=True)
        done = len(log.writes)
        tables.change(state, state)
        tables.change(state, dict(state))
        tables.rebuild(state, remove=True)
        tables_on(maps).rebuild(state, remove=True)
        assert len(log.writes) == done


@settings(max_examples=60, deadline=None)
@given(services(), services(), st.booleans())
def test_old_backend_or_new(old: Services, new: Services, rebuilt: bool) -> None:
    """After each single write of a change, a client is given a backend of before or of after it, never a hole."""
    log = Log()
    with recorded(log) as maps:
        tables = tables_on(maps)
        tables.rebuild(old, remove=True)
        before, done = contents(maps), len(log.writes)
        if rebuilt:
            tables_on(maps).rebuild(new, remove=True)
        else:
            tables.change(old, new)
        was, will = chosen(before), chosen(contents(maps))
        for now in replayed(before, log.writes[done:]):
            for place, answers in chosen(now).items():
                allowed = was[place] | will[place]
                if "no service" in allowed:
                    allowed |= {"no port"}  # the address comes before its ports, or goes after them
                assert answers <= allowed, place


def test_order_of_writes() -> None:
    """Backends, slots, frontends; and out again the other way round."""
    state = _one_service(3)
    log = Log()
    with recorded(log) as maps:
        tables = tables_on(maps)
        tables.change({}, state)
        came = [write.table for write in log.writes]
        tables.change(state, {})
        went = [write.table for write in log.writes[len(came) :]]
        assert came == ["tw_be_v1"] * 3 + ["tw_slot_v1"] * 3 + ["tw_fe_v1"] * 2
        assert went == came[::-1]
        assert not any(contents(maps).values())


@settings(max_examples=40, deadline=None)
@given(services(), services(), st.booleans())
def test_sockets_leave_before_backends_go(old: Services, new: Services, rebuilt: bool) -> None:
    """Whoever holds on to a backend is told of it when no frontend leads there, and while it is still known."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(old, remove=True)
        before = maps["be"].entries()

        def leave(gone: Mapping[bytes, bytes]) -> None:
            assert gone.items() <= maps["be"].entries().items()
            assert not set(gone) & set(maps["slot"].entries().values())

        told = Told(leave=leave)
        _change(tables_on(maps, told), old, new, rebuilt=rebuilt)
        assert told.left == before.keys() - maps["be"].entries().keys()


@settings(max_examples=60, deadline=None)
@given(services(), services(), st.booleans())
def test_sockets_ask_again_when_a_service_comes(old: Services, new: Services, rebuilt: bool) -> None:
    """Of each address and port that became a Service's clients are told, once, when it serves; of none else."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(old, remove=True)
        before = maps["fe"].entries().keys()

        def ask_again(come: Collection[bytes]) -> None:
            assert set(come) <= maps["fe"].entries().keys()

        told = Told(ask_again=ask_again)
        _change(tables_on(maps, told), old, new, rebuilt=rebuilt)
        come = maps["fe"].entries().keys() - before
        # a process that finds no Service at all of those that it wants may not be the first who serves them
        expected = [] if rebuilt and come == maps["fe"].entries().keys() else sorted(come)
        assert sorted(told.come) == expected


def _change(tables: ServiceTables, old: Services, new: Services, *, rebuilt: bool) -> None:
    # By comparison, as the first thing of a new process, or as the next change of one that knows the tables.
    if rebuilt:
        tables.rebuild(new, remove=True)
        return
    tables.rebuild(old, remove=True)
    tables.change(old, new)


@settings(max_examples=40, deadline=None)
@given(services(), services())
def test_incomplete_state_removes_nothing(old: Services, new: Services) -> None:
    """While sources are not in sync everything that was there stays reachable; what is new is written."""
    log = Log()
    with recorded(log) as maps:
        tables = tables_on(maps)
        tables.rebuild(old, remove=True)
        before, done = contents(maps), len(log.writes)
        tables.rebuild(new, remove=False)
        assert all(write.value is not None for write in log.writes[done:])
        wanted = from_nothing(new)
        assert contents(maps) == {name: before[name] | wanted[name] for name in before}


@pytest.mark.parametrize("rebuilt", [True, False], ids=["compared", "changed"])
@pytest.mark.parametrize("table", ["be", "slot", "fe"])
def test_full_table_keeps_what_is_in_force(table: str, rebuilt: bool) -> None:
    """Where a table has no room for a state, every frontend stays on its old set, and a smaller state fits."""
    small, large = _one_service(2), _one_service(5, more=3)
    room = {"be": 3, "slot": 3, "fe": 2}[table]
    with recorded(Log(), **{table: room}) as maps:
        tables = tables_on(maps)
        tables.rebuild(small, remove=True)
        was = chosen(contents(maps))
        with pytest.raises(
            MapError, match=f"map tw_{table}_v1: write: full at {room} entries: raise maps.{table}"
        ):
            tables.rebuild(large, remove=True) if rebuilt else tables.change(small, large)
        now = chosen(contents(maps))
        if table == "fe":  # each frontend is whole, old or new
            assert all(now[place] <= was[place] | _ends(5) for place in now if was[place] != {"no service"})
        else:
            assert now == was
        tables.rebuild(small, remove=True)
        assert contents(maps) == from_nothing(small)


def _ends(count: int) -> set[tuple[bytes, int] | str]:
    return {(encode.address(backend.address), backend.port) for backend in BACKENDS[:count]}


def _one_service(count: int, more: int = 0) -> Services:
    backends = backend_set(BACKENDS[:count])
    ports = (80, *range(90, 90 + more))
    frontends = tuple(Frontend(ADDRESSES[0], port, Protocol.TCP, Scope.INTERNAL, backends) for port in ports)
    return {_ref("a"): ServiceState(_ref("a"), frontends, backends.backends)}
