"""Ids come from content alone, and two contents of one id are noticed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from twinway.compute import ids
from twinway.compute.ids import Ledger, backend, backend_set, content_id, service_port
from twinway.model.cluster import ServicePort
from twinway.model.net import ObjectRef, Protocol
from twinway.model.node import Backend, Frontend, Scope, ServiceState

WEB = service_port(ObjectRef("Service", "shop", "web"), ServicePort("http", Protocol.TCP, 80, 80))
ONE = backend(WEB, ip_address("10.0.0.1"), 80, Protocol.TCP)
OTHER = backend(WEB, ip_address("10.0.0.2"), 80, Protocol.TCP)


def state(name: str, *backends: Backend) -> ServiceState:
    """A Service with these backends."""
    frontend = Frontend(ip_address("10.96.0.1"), 80, Protocol.TCP, Scope.INTERNAL, backend_set(backends))
    return ServiceState(ObjectRef("Service", "shop", name), (frontend,), backends)


def test_ids_do_not_change() -> None:
    """A kernel's tables outlive the agent: an id that changes with a version is a new backend."""
    assert ONE.id == 0xA02AC5692C2E2442
    assert backend_set([ONE, OTHER]).id == 0x2D04EACE7CEAF4C2
    assert backend_set([]).id == 0x0FDD734E51C1682F


@pytest.mark.parametrize(
    "different",
    [
        backend(WEB, ip_address("10.0.0.2"), 80, Protocol.TCP),
        backend(WEB, ip_address("10.0.0.1"), 81, Protocol.TCP),
        backend(WEB, ip_address("10.0.0.1"), 80, Protocol.UDP),
        backend(WEB, ip_address("::10.0.0.1"), 80, Protocol.TCP),
    ],
)
def test_other_content_has_another_id(different: Backend) -> None:
    """Address, port and protocol, each of them."""
    assert different.id != ONE.id


@pytest.mark.parametrize(
    ("namespace", "name", "port", "protocol"),
    [
        ("bank", "web", "http", Protocol.TCP),
        ("shop", "api", "http", Protocol.TCP),
        ("shop", "web", "", Protocol.TCP),
        ("shop", "web", "http", Protocol.UDP),
        ("shop", "we", "bhttp", Protocol.TCP),
    ],
)
def test_each_port_of_a_service_has_backends_of_its_own(
    namespace: str, name: str, port: str, protocol: Protocol
) -> None:
    """What one Service lost is gone for its clients, whatever another has at that address."""
    owner = service_port(ObjectRef("Service", namespace, name), ServicePort(port, protocol, 80, 80))
    assert backend(owner, ONE.address, ONE.port, ONE.protocol).id != ONE.id


def test_kinds_have_ids_of_their_own() -> None:
    """Equal bytes of two kinds do not meet."""
    assert content_id(b"one", b"x") != content_id(b"other", b"x")


def test_an_id_is_never_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 stands for "none" in every table."""

    class Zero:
        def digest(self) -> bytes:
            return bytes(8)

    monkeypatch.setattr(ids, "blake2b", lambda *_, **__: Zero())
    assert content_id(b"one", b"x") == 1


def test_services_share_ids_of_equal_content() -> None:
    """And each may leave without the other."""
    ledger = Ledger()
    assert ledger.enter(state("a", ONE)) is None
    assert ledger.enter(state("b", ONE)) is None
    ledger.leave(state("a", ONE))
    assert ledger.enter(state("a", Backend(ONE.id, OTHER.address, 80, Protocol.TCP))) is not None


def test_a_collision_is_reported_and_entered_nowhere() -> None:
    """The reason says which two contents; once the first is gone, the second has its place."""
    ledger = Ledger()
    ledger.enter(state("a", ONE))
    same = Backend(ONE.id, OTHER.address, 80, Protocol.TCP)
    assert ledger.enter(state("b", same)) == (
        "backend 10.0.0.2 port 80 TCP has the same id as backend 10.0.0.1 port 80 TCP: change either of them"
    )
    ledger.leave(state("a", ONE))
    assert ledger.enter(state("b", same)) is None


def test_two_contents_of_one_service_may_collide_too() -> None:
    """Neither silently takes the other's place."""
    same = Backend(ONE.id, OTHER.address, 80, Protocol.TCP)
    assert Ledger().enter(state("a", ONE, same)) is not None
