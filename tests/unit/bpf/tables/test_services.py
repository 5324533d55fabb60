"""Services in the kernel while they change: a client finds the old backends or the new ones, never none."""

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
    # of two Services, with the same address and port
    *(Backend(BackendId(number), ip_address("10.0.0.4"), 8080, Protocol.UDP) for number in (104, 105)),
]
PORTS = (80, 81)
PLACES = list(product(ADDRESSES, PORTS, Protocol))
QUESTIONS = [(address, port, protocol.number) for address, port, protocol in PLACES]


def backend_set(backends: Iterable[Backend]) -> BackendSet:
    """A set whose id derives from its content."""
    found = tuple(sorted(set(backends), key=lambda backend: backend.id))
    return BackendSet(BackendSetId(1 + sum(1 << (backend.id % 60) for backend in found)), found)


@st.composite
def services(draw: st.DrawFn) -> Services:
    """Up to three Services on few addresses. No place is claimed twice; they may share backends and sets."""
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
    """States that follow one another. A Service that does not change is the same object."""
    history: list[Services] = [draw(services())]
    for wanted in draw(st.lists(services(), max_size=4)):
        before = history[-1]
        history.append({ref: before[ref] if before.get(ref) == value else value for ref, value in wanted.items()})
    return history


class RecordedClients:
    """Clients that record the calls of the tables, and can check the tables during each call."""

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
        """Record backends that are about to be removed."""
        self.left |= backends.keys()
        self._leave(backends)

    def ask_again(self, frontends: Collection[bytes], /) -> None:
        """Record addresses that have become a Service's."""
        self.come += frontends
        self._ask_again(frontends)


def tables_on(maps: Mapping[str, Map], clients: RecordedClients | None = None) -> ServiceTables:
    """The tables of a new process."""
    return ServiceTables(maps, clients or RecordedClients())


def from_nothing(state: Services) -> Contents:
    """The entries that a process writes for a state to empty maps."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(state, remove=True)
        return contents(maps)


def chosen(tables: Contents) -> dict[tuple[object, ...], set[tuple[bytes, int] | str]]:
    """All answers that a client can get to each question."""
    return {place: {reader.backend(tables, place, random) for random in range(12)} for place in QUESTIONS}


@settings(max_examples=60, deadline=None)
@given(histories())
def test_changed_is_rebuilt(history: list[Services]) -> None:
    """After any sequence of changes, the tables equal those of a process that started with the last state."""
    with recorded(Log()) as maps:
        tables = tables_on(maps)
        tables.rebuild(history[0], remove=True)
        for before, after in pairwise(history):
            tables.change(before, after)
            assert contents(maps) == from_nothing(after)


@settings(max_examples=60, deadline=None)
@given(histories())
def test_rebuilt_is_rebuilt(history: list[Services]) -> None:
    """A process that finds another state in the tables rebuilds them as if they had been empty."""
    with recorded(Log()) as maps:
        for state in history:
            tables_on(maps).rebuild(state, remove=True)
            assert contents(maps) == from_nothing(state)


@settings(max_examples=40, deadline=None)
@given(services())
def test_tables_say_what_the_state_says(state: Services) -> None:
    """Clients of a frontend find all backends of its set, and clients of other addresses find none."""
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
    """A state in force is not written again by a change, a comparison, or another process."""
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
    """After each write of a change, a client gets a backend of the old state or of the new one."""
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
    """Writes go to backends, slots and frontends in this order, and removals go in the reverse order."""
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
    """`leave` is called for a backend when no frontend leads to it, and before it is removed."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(old, remove=True)
        before = maps["be"].entries()

        def leave(gone: Mapping[bytes, bytes]) -> None:
            assert gone.items() <= maps["be"].entries().items()
            assert not set(gone) & set(maps["slot"].entries().values())

        clients = RecordedClients(leave=leave)
        _change(tables_on(maps, clients), old, new, rebuilt=rebuilt)
        assert clients.left == before.keys() - maps["be"].entries().keys()


@settings(max_examples=60, deadline=None)
@given(services(), services(), st.booleans())
def test_sockets_ask_again_when_a_service_comes(old: Services, new: Services, rebuilt: bool) -> None:
    """`ask_again` is called once for each address and port that became a Service's, after it serves."""
    with recorded(Log()) as maps:
        tables_on(maps).rebuild(old, remove=True)
        before = maps["fe"].entries().keys()

        def ask_again(come: Collection[bytes]) -> None:
            assert set(come) <= maps["fe"].entries().keys()

        clients = RecordedClients(ask_again=ask_again)
        _change(tables_on(maps, clients), old, new, rebuilt=rebuilt)
        come = maps["fe"].entries().keys() - before
        # where a process finds none of its Services, something else may have served them before
        expected = [] if rebuilt and come == maps["fe"].entries().keys() else sorted(come)
        assert sorted(clients.come) == expected


def _change(tables: ServiceTables, old: Services, new: Services, *, rebuilt: bool) -> None:
    # By comparison, like a new process at its start, or as a change of a process that knows the tables.
    if rebuilt:
        tables.rebuild(new, remove=True)
        return
    tables.rebuild(old, remove=True)
    tables.change(old, new)


@settings(max_examples=40, deadline=None)
@given(services(), services())
def test_incomplete_state_removes_nothing(old: Services, new: Services) -> None:
    """While sources are not in sync, no entry is removed, and new entries are written."""
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
    """If a table has no room for a state, every frontend keeps its old set, and a smaller state fits."""
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
