"""Connections that sockets had before the packet path was there: their packets find who opened them."""

from __future__ import annotations

import contextlib
import random
import socket
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from tests.packets.rig import SHOT, V4, V6, Rig
from tests.packets.scene import Scene, only_v4
from tests.packets.sockets import cookie
from tests.packets.tables import verdict
from twinway.model.net import ObjectRef, Protocol
from twinway.model.node import Attachment, BackendSet, BackendSetId, Frontend, Scope, ServiceState
from twinway.model.policy import Direction
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.load import programs
from twinway_bpf.netlink import netns
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import CfgFlag, CtFlag, Reason, Sk
from twinway_tc.seed import seed
from twinway_testing import site
from twinway_testing.frames import ACK, FIN, TCP, UDP, End, end, tcp, udp

INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
CLIENTS_SET, SERVERS_SET = 7, 9
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
ADDRESSES = tuple(
    f"addr add {address} dev lo" for net in (V4, V6) for address in (net.client, net.server, net.vip)
)
both = pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
whose = pytest.mark.parametrize("whose", ["client", "server"])


@pytest.fixture(scope="module")
def namespace() -> Iterator[Path]:
    """A namespace that has the addresses of all, so that sockets there can speak with one another."""
    with site.namespace("seed", *ADDRESSES) as path:
        yield path


class Pods:
    """The client's pod and the server's, with real sockets in one namespace."""

    def __init__(self, scene: Scene, namespace: Path, sockets: contextlib.ExitStack) -> None:
        self.scene = scene
        self._namespace = namespace
        self._sockets = sockets

    def open(self, local: End | None, what: socket.SocketKind = STREAM) -> socket.socket:
        """A socket in the namespace, bound to an end, or to port 8080 of all addresses."""
        with netns.inside(str(self._namespace)):
            family = socket.AF_INET if local and local.address.version == 4 else socket.AF_INET6
            made = self._sockets.enter_context(socket.socket(family, what))
        made.settimeout(5)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((str(local.address), local.port) if local else ("::", 8080))
        return made

    def talk(self, protocol: int = TCP, to: End | None = None, *, anywhere: bool = False) -> socket.socket:
        """The client's socket, connected to a server that hears from others, too."""
        server = to or self.scene.server
        heard = self.open(None if anywhere else server, STREAM if protocol == TCP else DATAGRAM)
        client = self.open(self.scene.client, STREAM if protocol == TCP else DATAGRAM)
        if protocol == TCP:
            heard.listen()
            client.connect((str(server.address), server.port))
            self._sockets.enter_context(heard.accept()[0])
            return client
        client.connect((str(server.address), server.port))
        answering = self.open(server, DATAGRAM)
        answering.connect((str(self.scene.client.address), self.scene.client.port))
        return client

    def seed(self, whose: str, *services: ServiceState) -> int:
        """What is written for one pod's sockets."""
        pod = self.attachment(whose)
        tables = self.scene.tables
        return seed(tables.maps["ct"], [pod], self.initiators, services=services, rev=tables.settings.read().rev)

    @property
    def initiators(self) -> Initiators:
        """Who connected, as far as it was noted."""
        tables = self.scene.tables
        return Initiators(tables.settings, tables.maps["initiator"], tables.maps["sk"])

    def attachment(self, whose: str) -> Attachment:
        """A pod's interface."""
        address = getattr(self.scene.net, whose)
        return Attachment(ObjectRef("Pod", "shop", whose), "c1", str(self._namespace), "eth0", (address,))


@pytest.fixture
def pods(scene: Scene, namespace: Path) -> Iterator[Pods]:
    """No socket is open yet."""
    with contextlib.ExitStack() as sockets:
        yield Pods(scene, namespace, sockets)


def under_policy(scene: Scene, protocol: int) -> None:
    """The client may open to the server, and the server to nobody."""
    scene.furnish(client_policy=CLIENTS_SET, server_policy=SERVERS_SET)
    for pod, opens in ((CLIENTS_SET, True), (SERVERS_SET, False)):
        scene.tables.policy(
            pod,
            verdict(EGRESS, allow=opens, rule=1, protocol=protocol),
            verdict(INGRESS, allow=not opens, rule=2, protocol=protocol),
        )


@whose
@both
@pytest.mark.parametrize("anywhere", [False, True], ids=["one address", "all addresses"])
def test_packet_finds_the_record(pods: Pods, protocol: int, whose: str, *, anywhere: bool) -> None:
    """What a server answers passes as an answer: without the record it would be a beginning, and denied."""
    scene = pods.scene
    under_policy(scene, protocol)
    pods.talk(protocol, anywhere=anywhere)
    assert scene.server_sends(scene.answer(protocol)).reason == Reason.DROP_POLICY_EGRESS
    assert scene.tables.connections() == []
    assert pods.seed(whose) == 1
    assert scene.tables.record().rev == 0
    assert scene.server_sends(scene.answer(protocol)).reason == Reason.PASS_PEER
    (found,) = scene.tables.connections()
    assert found.ends == frozenset({scene.client, scene.server})
    assert (found.protocol, found.rev) == (protocol, 1)
    assert found.flags & ~CtFlag.FIRST & ~CtFlag.ASSURED == CtFlag.REPLIED
    assert pods.seed(whose) == 0


@whose
@both
def test_is_what_the_programs_write(pods: Pods, protocol: int, whose: str) -> None:
    """The record is what the connection's first packets would have made, but not judged yet."""
    scene = pods.scene
    first = (tcp if protocol == TCP else udp)(scene.client, scene.server)
    scene.client_sends(first)
    written = scene.tables.record()
    scene.tables.forget(written)
    pods.talk(protocol)
    assert pods.seed(whose) == 1
    seeded = scene.tables.record()
    assert (seeded.key, seeded.flags) == (written.key, written.flags | CtFlag.REPLIED | CtFlag.ASSURED)
    assert (seeded.peer, seeded.backend, seeded.rev) == (written.peer, written.backend, written.rev - 1)
    assert 0 <= seeded.seen - written.seen < 30


@both
def test_is_judged(pods: Pods, protocol: int) -> None:
    """A record is no permission: where its initiator may not open, the next packet of either end is dropped."""
    scene = pods.scene
    under_policy(scene, protocol)
    scene.tables.policy(CLIENTS_SET, verdict(EGRESS, allow=False, rule=3, protocol=protocol))
    pods.talk(protocol)
    before = scene.tables.denied(3)
    assert pods.seed("client") == 1
    assert scene.server_sends(scene.answer(protocol)).reason == Reason.DROP_POLICY_EGRESS
    further = tcp(scene.client, scene.server, ACK) if protocol == TCP else udp(scene.client, scene.server)
    assert scene.client_sends(further).action == SHOT
    assert scene.tables.denied(3) == before + 2


def test_keeps_what_is_there(pods: Pods) -> None:
    """The packet path knows better what it has seen: a record with a Service stays as it is."""
    scene = pods.scene
    scene.open()
    before = scene.tables.connections()
    pods.talk()
    assert pods.seed("client") == pods.seed("server") == 0
    assert scene.tables.connections() == before


def service(address: IPv4Address | IPv6Address) -> ServiceState:
    """A Service."""
    frontend = Frontend(address, 80, Protocol.TCP, Scope.INTERNAL, BackendSet(BackendSetId(1), ()))
    return ServiceState(ObjectRef("Service", "shop", "web"), (frontend,), ())


def test_peer_that_is_a_service(pods: Pods) -> None:
    """Who believes to speak with a Service is translated by somebody, and not to be passed on as it is."""
    pods.talk(to=pods.scene.vip)
    assert pods.seed("client", service(pods.scene.net.vip)) == 0
    assert pods.seed("client", service(pods.scene.net.away)) == 1


@both
def test_what_does_not_pass_the_device(pods: Pods, protocol: int) -> None:
    """Of other addresses than the pod's, and of the pod with itself, nothing is written."""
    pods.talk(protocol, to=End(pods.scene.net.client, 8080))
    loopback = end("127.0.0.1" if pods.scene.net.version == 4 else "::1", 9000)
    pods.open(loopback, DATAGRAM).connect((str(loopback.address), 9001))
    assert pods.seed("client") == pods.seed("server") == 0


def test_listeners_alone(pods: Pods) -> None:
    """Sockets without a peer are no connections."""
    pods.open(pods.scene.server).listen()
    pods.open(pods.scene.server, DATAGRAM)
    assert pods.seed("server") == 0


def test_half_closed(pods: Pods) -> None:
    """A connection that is being closed is known as such, and so does not stay for days."""
    pods.talk().shutdown(socket.SHUT_WR)
    assert pods.seed("client") == 1
    scene = pods.scene
    assert CtFlag.CLOSING in scene.tables.record().flags
    scene.server_sends(tcp(scene.server, scene.client, FIN | ACK))
    assert CtFlag.CLOSING in scene.tables.record().flags


@pytest.mark.parametrize("noted", ["on the socket", "by its cookie", "of all others"])
def test_what_was_noted(pods: Pods, noted: str) -> None:
    """Where policy at sockets noted who connected, that counts, whoever listens where by now."""
    scene, tables = pods.scene, pods.scene.tables
    client = pods.talk()
    opened = noted != "of all others"
    if opened:
        pods.open(scene.client).listen()
    if noted == "on the socket":
        tables.maps["sk"].write({client.fileno().to_bytes(4, sys.byteorder): bytes(Sk())})
    if noted == "by its cookie":
        tables.maps["initiator"].write({cookie(client): bytes(1)})
    tables.settings.flag(CfgFlag.INITIATORS_KNOWN, on=True)
    assert pods.seed("client") == 1
    ends = (scene.client, scene.server) if opened else (scene.server, scene.client)
    _, first = encode.connection_key(encode.end(*ends[0]), encode.end(*ends[1]), Protocol.TCP)
    assert (CtFlag.FIRST in scene.tables.record().flags) == first


@only_v4
def test_namespace_that_is_gone(pods: Pods, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A pod that has just gone is reported, and keeps nobody else from being known."""
    pods.talk()
    gone = Attachment(ObjectRef("Pod", "shop", "gone"), "c2", str(tmp_path / "none"), "eth0", ())
    tables = pods.scene.tables
    every = [gone, pods.attachment("client")]
    assert seed(tables.maps["ct"], every, pods.initiators, services=(), rev=1) == 1
    assert "Pod shop/gone" in caplog.text


ENDS: Mapping[str, tuple[End, End]] = {
    "first byte": (end("10.0.0.1", 80), end("11.0.0.0", 80)),
    "last byte": (end("10.0.0.1", 80), end("10.0.0.2", 80)),
    "last byte counts first": (end("10.0.0.2", 80), end("11.0.0.1", 80)),
    "v6, first word": (end("fd00:1::1", 80), end("fd01::1", 80)),
    "v6, last word": (end("fd00::1", 80), end("fd00::100", 80)),
    "port": (end("10.0.0.1", 1), end("10.0.0.1", 256)),
    "port, v6": (end("fd00::1", 255), end("fd00::1", 256)),
    "itself": (end("10.0.0.1", 80), end("10.0.0.1", 80)),
}


def check_key(rig: Rig, source: End, destination: End) -> None:
    """A packet makes exactly the key that is made here, either way round, for TCP and UDP."""
    for protocol, packet in ((Protocol.TCP, tcp), (Protocol.UDP, udp)):
        rig.tables.clear()
        rig.tables.pod(source.address, rig.behind("hosta"))
        rig.run(programs.HOST_FROM, packet(source, destination), "hosta")
        key, first = encode.connection_key(encode.end(*source), encode.end(*destination), protocol)
        record = rig.tables.record()
        assert (record.key, CtFlag.FIRST in record.flags) == (key, first)


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_key_is_the_programs(rig: Rig, ends: tuple[End, End]) -> None:
    """Which end comes first is what the programs say, on this machine's byte order."""
    check_key(rig, *ends)
    check_key(rig, *reversed(ends))


def test_any_key_is_the_programs(rig: Rig) -> None:
    """So it is for pairs of any addresses and ports."""
    dice = random.Random(20)
    for _ in range(50):
        for base, bits in ((ip_address("10.0.0.0"), 24), (ip_address("fd00::"), 112)):
            ends = [End(base + dice.getrandbits(bits), dice.randrange(1, 65536)) for _ in range(2)]
            check_key(rig, *ends)
