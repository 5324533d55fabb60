"""Connections that are idle for long, half closed, sent a forged RST, or whose port another one takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from twinway_conformance import frames
from twinway_conformance.attacks import Emitter
from twinway_conformance.cast import CLIENT, FAR, NEAR, pod_addresses
from twinway_conformance.objects import Object, family_of, port
from twinway_conformance.policies import labels, policy
from twinway_conformance.sockets import Remote, Socket, refusal
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

SERVICE, SERVED, OWN = 7070, 7200, 4500
SHUT = policy("shop/shut", labels(name="near"), ingress=[])
"""shop/near receives answers alone."""
LONG = 70.0
"""Seconds of silence: longer than the 64 s that a connection's record stays after both ends have closed it."""
REFUSED = {"EADDRNOTAVAIL", "ECONNREFUSED", "timeout", "EHOSTUNREACH", "EPERM"}
"""The errors of a connection whose addresses and ports another one has."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A connection of a pod to shop/far; the test controls both ends."""

    what: str
    client: Socket
    server: Socket
    caller: tuple[str, int]
    """The client's address and port, as the server sees them."""

    def goes_on(self) -> None:
        """Fail unless both ends can still send."""
        self.server.tell("late")
        assert self.client.read() == "late", self.what
        self.client.tell("more")
        assert self.server.read() == "more", self.what

    def is_answered(self) -> None:
        """Fail unless the client, which has closed its direction, gets what the server sends."""
        self.server.tell("late")
        assert self.client.read() == "late", self.what


def services(stage: Stage) -> list[Object]:
    """Two Services on one port, whose only backend is shop/far."""
    return [stage.service(f"shop/{name}", [port(SERVICE, SERVED)], {"name": "far"}) for name in ("late", "other")]


class Far:
    """Listeners of shop/far, and connections to them."""

    def __init__(self, stage: Stage, server: Remote) -> None:
        self.listeners = {}
        for address in pod_addresses(FAR, stage.families):
            listener = server.tcp(family_of(address), bind=[address, SERVED])
            listener.listen()
            self.listeners[family_of(address)] = listener

    def connected(self, asks: Remote, to: tuple[str, int], **how: object) -> Pair:
        """A connection that has carried a line each way."""
        family = family_of(to[0])
        client = asks.tcp(family, **how)
        client.connect(*to)
        client.tell("hello")
        served, caller = self.listeners[family].accept()
        pair = Pair(f"{asks.place} → {to[0]}", client, served, caller)
        assert served.read() == "hello", pair.what
        served.tell("hello")
        assert client.read() == "hello", pair.what
        return pair


def ways(stage: Stage) -> Iterator[list[tuple[str, int]]]:
    """For each family: shop/far's own address, and those of its two Services."""
    clusters = [service["spec"]["clusterIPs"] for service in services(stage)]
    for address, *vips in zip(pod_addresses(FAR, stage.families), *clusters, strict=True):
        yield [(address, SERVED), *((vip, SERVICE) for vip in vips)]


@contextmanager
def scene(stage: Stage) -> Iterator[tuple[Far, list[Remote]]]:
    """Let shop/far listen. Its clients are a pod under an ingress policy, and a pod without policy."""
    stage.hold(*services(stage), SHUT)
    with ExitStack() as stack:
        server, *clients = (stack.enter_context(stage.talk(place)) for place in (FAR, NEAR, CLIENT))
        yield Far(stage, server), clients


def disturbed(stage: Stage, pairs: list[Pair], far: str) -> None:
    """Send each end of each connection a forged RST of the other end, outside of its window."""
    with ExitStack() as stack:
        emitters = {place: stack.enter_context(Emitter(stage, place)) for place in (FAR, NEAR, CLIENT)}
        for pair in pairs:
            (host, number), place = pair.caller, pair.what.partition(" ")[0]
            if family_of(host) != family_of(far):
                continue
            doors: list[list[Any]] = [[far, SERVED], pair.client.peer()]
            for to, door in doors:
                rst = frames.tcp(host, number, to, door, frames.RST, number=12345)
                emitters[place].frame(frames.ip(host, to, frames.TCP, rst), to)
            rst = frames.tcp(far, SERVED, host, number, frames.RST, number=12345)
            emitters[FAR].frame(frames.ip(far, host, frames.TCP, rst), host)


def made(stage: Stage, far: Far, clients: list[Remote]) -> list[Pair]:
    """A connection of each pod, directly and through a Service, in each family."""
    return [far.connected(asks, to) for asks in clients for each in ways(stage) for to in each[:2]]


@pytest.mark.row("rst-outside")
def test_reset_outside_of_the_window(stage: Stage) -> None:
    """An RST outside of the window, which every kernel ignores, ends no connection, at either end."""
    with scene(stage) as (far, clients):
        pairs = made(stage, far, clients)
        for address in pod_addresses(FAR, stage.families):
            disturbed(stage, pairs, address)
        for pair in pairs:
            pair.goes_on()


@pytest.mark.row("half-closed")
def test_half_closed(stage: Stage) -> None:
    """A client that has closed its direction of a connection still gets what the server sends."""
    with scene(stage) as (far, clients):
        pairs = made(stage, far, clients)
        for pair in pairs:
            pair.client.finish()
            assert not pair.server.read()
        for pair in pairs:
            pair.is_answered()


@pytest.mark.row("half-closed-long")
@pytest.mark.skipif(os.environ.get("CONFORMANCE") != "all", reason="waits 70 s: part of `make conformance`")
def test_long_silence(stage: Stage) -> None:
    """After 70 s of silence, a half-closed connection is answered, and one that was sent forged RSTs continues."""
    with scene(stage) as (far, clients):
        halves, stray = made(stage, far, clients), made(stage, far, clients)
        for pair in halves:
            pair.client.finish()
            assert not pair.server.read()
        for address in pod_addresses(FAR, stage.families):
            disturbed(stage, stray, address)
        time.sleep(LONG)
        for pair in halves:
            pair.is_answered()
        for pair in stray:
            pair.goes_on()


@pytest.mark.row("half-closed-name")
def test_name_of_a_half_closed_connection(stage: Stage) -> None:
    """A new connection from a half-closed one's port to the same backend takes none of the old one's answers."""
    with scene(stage) as (far, clients):
        for asks in clients:
            for address, (pod, late, other) in zip(
                pod_addresses(asks.place, stage.families), ways(stage), strict=True
            ):
                for number, (first, second) in enumerate([(late, other), (late, pod), (pod, late)]):
                    own = [address, OWN + number]
                    old = far.connected(asks, first, bind=own)
                    old.client.finish()
                    assert not old.server.read()
                    new = another(far, asks, second, own)
                    old.is_answered()
                    if new is not None:
                        new.goes_on()
                        new.client.close()
                        new.server.close()


def another(far: Far, asks: Remote, to: tuple[str, int], own: list[object]) -> Pair | None:
    """A second connection from the same address and port, or None if it is refused."""
    client = asks.tcp(family_of(to[0]), bind=own)
    failure = refusal(partial(client.connect, *to))
    if failure != "none":
        assert failure in REFUSED, f"{asks.place} → {to[0]}: {failure}"
        return None
    client.tell("hello")
    served, caller = far.listeners[family_of(to[0])].accept()
    pair = Pair(f"{asks.place} → {to[0]} again", client, served, caller)
    assert served.read() == "hello", pair.what
    return pair
