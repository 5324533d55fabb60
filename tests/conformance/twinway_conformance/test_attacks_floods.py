"""Attacks: a pod with very many flows costs other pods neither answers nor idle connections."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from twinway_conformance.attacks import Emitter
from twinway_conformance.cast import CLIENT, FAR, NEAR, TELLER, pod_addresses
from twinway_conformance.objects import Object, family_of, port
from twinway_conformance.policies import labels, policy
from twinway_conformance.running import Running, running
from twinway_conformance.sockets import CallError, Remote, Socket, command
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

EXTERNAL = "external"
SERVICE, SERVED = 7070, 7100
COUNT = int(os.environ.get("TWINWAY_FLOOD", "200000"))
"""Flows of each flood, in all families together: six times a pod's share. A whole table has 1,048,576 entries."""
REMEMBERED = 150.0
"""Seconds in which the answer to a UDP datagram may come. The record of the datagram expires after 180 s."""
CROWD = {4: "203.0.113.10", 6: "2001:db8:9::10"}
"""The first target address of a flood: unused, or an accomplice's. Source: RFC 5737, RFC 3849."""
SHUT = [
    policy("shop/shut", labels(name="near"), ingress=[]),
    policy("bank/busy", labels(name="teller"), ingress=[]),
]
"""
shop/near, which waits, receives answers alone.

So does bank/teller, which floods, so that its flows need records.
"""


def late(stage: Stage) -> Object:
    """A Service whose one backend is shop/far."""
    return stage.service("shop/late", [port(SERVICE, SERVED), port(SERVICE, SERVED, "UDP")], {"name": "far"})


class Waiting:
    """Requests of one pod to shop/far, directly or through a Service, whose answers are still due."""

    def __init__(self, asks: Remote, servers: tuple[Socket, Socket], to: tuple[str, int]) -> None:
        self._datagrams, listener = servers
        self.what = f"{asks.place} → {to[0]}"
        family = family_of(to[0])
        self._connected, self._free = asks.udp(family), asks.udp(family)
        self._connected.connect(*to)
        self._connected.tell("connected")
        self._free.send_at(*to, "free")
        self._callers = dict(self._datagrams.hear() for _ in range(2))
        self._streams = []
        for _ in range(2):
            stream = asks.tcp(family)
            stream.connect(*to)
            stream.tell("hello")
            served, _ = listener.accept()
            served.read()
            self._streams.append((stream, served))
        stream, served = self._streams[1]
        served.tell("hello")
        stream.read()

    def lost(self) -> Iterator[str]:
        """Send the answers, and yield one line for each that does not arrive."""
        for word, asking in (("connected", self._connected), ("free", self._free)):
            host, number = self._callers[word]
            self._datagrams.send_at(host, number, word)
            yield from self._missing(f"UDP answer, {word} socket", asking, word)
        (waiting, late), (quiet, served) = self._streams
        late.tell("late")
        yield from self._missing("TCP answer", waiting, "late")
        quiet.tell("still there?")
        yield from self._missing("question on the quiet connection", served, "still there?")
        served.tell("yes")
        yield from self._missing("answer on the quiet connection", quiet, "yes")

    def _missing(self, kind: str, reader: Socket, word: str) -> Iterator[str]:
        try:
            came = reader.read()
        except CallError as error:
            came = error.error
        if came != word:
            yield f"{self.what}: {kind}: {came}"


@contextmanager
def unharmed(stage: Stage) -> Iterator[None]:
    """Fail if pods of n1 do not get answers after the block that they were waiting for when it began."""
    stage.hold(late(stage), *SHUT)
    waiting: list[Waiting] = []
    with ExitStack() as stack:
        server, *clients = (stack.enter_context(stage.talk(place)) for place in (FAR, NEAR, CLIENT))
        for address, vip in zip(
            pod_addresses(FAR, stage.families), late(stage)["spec"]["clusterIPs"], strict=True
        ):
            family = family_of(address)
            servers = server.udp(family, bind=[address, SERVED]), server.tcp(family, bind=[address, SERVED])
            servers[1].listen()
            for client in clients:
                waiting += [Waiting(client, servers, to) for to in ((address, SERVED), (vip, SERVICE))]
        began = time.monotonic()
        yield
        if (took := time.monotonic() - began) > REMEMBERED:
            pytest.skip(
                f"the flood took {took:.0f} s, longer than an answer may take: use fewer flows (TWINWAY_FLOOD)"
            )
        lines = [line for each in waiting for line in each.lost()]
        assert not lines, "\n".join([f"{len(lines)} of {5 * len(waiting)} were lost:", *lines])


def flood(stage: Stage, kind: str, flows: int = COUNT) -> None:
    """Let bank/teller open `flows` flows. Fails unless most of them leave it."""
    count = flows // len(stage.families)
    for own in pod_addresses(TELLER, stage.families):
        target = CROWD[family_of(own)]
        hop = [next_hop(stage, target)] if kind == "syn" else []
        sent = int(stage.lab.execute(TELLER, *command("flood.py", kind, str(count), own, target, *hop)))
        assert sent > count // 2, f"{sent} of {count} flows towards {target}"


def next_hop(stage: Stage, to: str) -> str:
    """The MAC address of bank/teller's next hop."""
    with Emitter(stage, TELLER) as emitter:
        return emitter.hop(to)


@pytest.mark.row("flood-udp")
def test_datagrams_to_nobody(stage: Stage) -> None:
    """A pod that sends unanswered UDP to very many ports costs no other pod an answer that it waits for."""
    with unharmed(stage):
        flood(stage, "udp")


@pytest.mark.row("flood-answered")
def test_datagrams_to_an_accomplice(stage: Stage) -> None:
    """A pod whose very many datagrams an accomplice outside answers costs no other pod an answer."""
    with unharmed(stage), running([Running(stage.lab, EXTERNAL, "echo.py")]) as (accomplice,):
        flood(stage, "udp", COUNT // 2)
        assert int(accomplice.end()) > COUNT // 20


@pytest.mark.row("flood-syn")
def test_forged_beginnings(stage: Stage) -> None:
    """A pod that forges SYNs from very many ports of its own costs no other pod an answer."""
    with unharmed(stage):
        flood(stage, "syn", COUNT // 2)
