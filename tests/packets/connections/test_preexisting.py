"""Who opened a connection that was open before policy: what its sockets have counted shows it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packets.sockets import cookie
from twinway.model.net import ObjectRef, Protocol
from twinway.model.node import Attachment
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.connections.preexisting import ENDING, Place, initiator_key, is_initiator
from twinway_bpf.connections.sockdiag import SockDiag, Socket, State
from twinway_bpf.load import maps
from twinway_bpf.load.bundle import MapDecl
from twinway_bpf.load.maps import Map
from twinway_bpf.netlink import netns
from twinway_bpf.tables.layout import Cfg, CfgFlag, Sk
from twinway_bpf.tables.settings import Settings
from twinway_testing import site

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
HASH, ARRAY = 1, 2
ROOM = 2
BYTES_RETRANS = 208  # in struct tcp_info
LOOPBACK = {"v4": "127.0.0.1", "v6": "::1"}
NOBODY: frozenset[Place] = frozenset()

Conversation = tuple[socket.socket, socket.socket]
"""Who connected, and who was accepted."""
Talk = Callable[[Conversation], object]


@pytest.fixture
def namespace() -> Iterator[Path]:
    """This thread is in a network namespace that nobody else uses."""
    with site.namespace("preexisting") as path, netns.inside(str(path)):
        yield path


@pytest.fixture(params=list(LOOPBACK.values()), ids=list(LOOPBACK))
def conversation(request: pytest.FixtureRequest, namespace: Path) -> Iterator[Conversation]:
    """A connection whose listener has gone."""
    with contextlib.ExitStack() as stack:
        family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((request.param, 0))
            listener.listen()
            client = stack.enter_context(socket.socket(family))
            client.connect(listener.getsockname())
            server = stack.enter_context(listener.accept()[0])
        for end in (client, server):
            end.settimeout(5)
        yield client, server


@dataclass(frozen=True)
class Tables:
    """As they are where nothing was noted yet."""

    settings: Settings
    initiators: Map
    given: Map


@pytest.fixture
def tables() -> Iterator[Tables]:
    """New ones, with room for a few initiators."""
    cfg = maps.create(MapDecl("tw_cfg_v4", ARRAY, 4, ctypes.sizeof(Cfg), 1, 0))
    initiators = maps.create(MapDecl("tw_initiator_v1", HASH, 8, 1, ROOM, 1))
    given = maps.create(MapDecl("tw_sk_v1", maps.SK_STORAGE, 4, ctypes.sizeof(Sk), 0, 1))
    yield Tables(Settings(cfg), initiators, given)
    for each in (cfg, initiators, given):
        os.close(each.descriptor)


@pytest.fixture
def noting(tables: Tables) -> Initiators:
    """Of these tables."""
    return Initiators(tables.settings, tables.initiators, tables.given)


def say(speaker: socket.socket, listener: socket.socket, size: int) -> None:
    """So many bytes, from one to the other."""
    speaker.sendall(bytes(size))
    left = size
    while left:
        left -= len(listener.recv(left))


def quiet(ends: Conversation) -> None:
    """Nothing at all."""


def asked(ends: Conversation) -> None:
    """A question, and a longer answer."""
    say(*ends, 1)
    say(*ends[::-1], 100_000)


def answered(ends: Conversation) -> None:
    """The server speaks first."""
    say(*ends[::-1], 1)


def client_ends(ends: Conversation) -> None:
    """The client has no more to say; the server has."""
    say(*ends, 10)
    ends[0].shutdown(socket.SHUT_WR)
    say(*ends[::-1], 10)


def server_ends(ends: Conversation) -> None:
    """The server has no more to say; the client has."""
    ends[1].shutdown(socket.SHUT_WR)
    say(*ends, 10)


def told_by_counts(local: tuple) -> bool | None:
    """What is found out about a socket when nobody listens anywhere, and when somebody does at its very port."""
    found = next(each for each in everything() if each.local.port == local[1])
    there = frozenset({(Protocol.TCP, *found.local)})
    answers = {is_initiator(found, NOBODY), is_initiator(found, there)}
    return answers.pop() if len(answers) == 1 else None


def everything() -> tuple[Socket, ...]:
    """All TCP connections of this namespace."""
    with SockDiag() as diag:
        return diag.sockets(Protocol.TCP, (State.ESTABLISHED, State.SYN_SENT, *ENDING), info=True)


@pytest.mark.parametrize("talk", [quiet, asked, answered, client_ends, server_ends])
def test_counts_tell(conversation: Conversation, talk: Talk) -> None:
    """Whatever was said, and whoever listens by now, each end is known for what it is."""
    talk(conversation)
    names = [end.getsockname() for end in conversation]
    ends = time.monotonic() + 5
    while any(told_by_counts(name) is None for name in names):  # a last acknowledgement may wait a moment
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert [told_by_counts(name) for name in names] == [True, False]


def test_under_way_is_asked_of_listeners(conversation: Conversation) -> None:
    """What was sent and not acknowledged yet may be one byte more or less: then who listens decides."""
    client, server = conversation
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(bytes(1 << 16))
    (found,) = (each for each in everything() if each.local.port == client.getsockname()[1])
    assert is_initiator(found, NOBODY)
    assert not is_initiator(found, frozenset({(Protocol.TCP, *found.local)}))


def test_lost_and_sent_again(conversation: Conversation) -> None:
    """Bytes that were sent twice are acknowledged once."""
    client, server = conversation
    with deaf(server):
        client.sendall(bytes(1000))
        time.sleep(0.3)  # the first repetition is lost, too
    assert len(server.recv(1000)) == 1000
    (found,) = (each for each in everything() if each.local.port == client.getsockname()[1])
    assert int.from_bytes((found.info or b"")[BYTES_RETRANS:][:8], sys.byteorder) >= 1000
    assert told_by_counts(client.getsockname()) is True
    assert told_by_counts(server.getsockname()) is False


@contextlib.contextmanager
def deaf(end: socket.socket) -> Iterator[None]:
    """A socket gets none of what is sent to it."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)  # one instruction: keep 0 bytes
    program = struct.pack("HxxxxxxP", 1, ctypes.addressof(nothing))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    try:
        yield
    finally:
        end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


def test_who_is_still_connecting(namespace: Path) -> None:
    """A socket whose SYN nobody has answered is one that connects."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        second.setblocking(False)
        second.connect_ex(listener.getsockname())
        (found,) = (each for each in everything() if each.state == State.SYN_SENT)
        assert is_initiator(found, frozenset({(Protocol.TCP, *found.local)}))


def attachment(namespace: Path) -> Attachment:
    """A pod that has the namespace."""
    return Attachment(ObjectRef("Pod", "shop", "pod"), "c1", str(namespace), "eth0", ())


def test_who_opened_is_written(
    namespace: Path, conversation: Conversation, noting: Initiators, tables: Tables
) -> None:
    """Who connected is known by its cookie, unless its socket says so itself; nobody else is, for good."""
    client, server = conversation
    with socket.socket(server.family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(server.getsockname())
        listener.listen()
        noting.note([attachment(namespace)])
    assert tables.initiators.entries().keys() == {cookie(client)}
    ours, theirs = (noting.noted().is_initiator(found(noting, namespace, end)) for end in conversation)
    assert (ours, theirs) == (True, False)
    noting.forget()
    assert tables.initiators.entries() == {}
    tables.given.write({client.fileno().to_bytes(4, sys.byteorder): bytes(Sk())})
    noting.note([attachment(namespace)])
    assert tables.initiators.entries() == {}
    assert noting.noted().is_initiator(found(noting, namespace, client)) is True


def test_is_written_once(namespace: Path, conversation: Conversation, noting: Initiators, tables: Tables) -> None:
    """What an earlier process wrote down is not asked again: since then connecting sockets say so themselves."""
    noting.note([])
    noting.note([attachment(namespace)])
    assert tables.initiators.entries() == {}
    assert CfgFlag(tables.settings.read().flags) == CfgFlag.POLICY_AT_SOCKET | CfgFlag.INITIATORS_KNOWN


def test_is_written_by_who_comes_after_a_crash(
    namespace: Path, conversation: Conversation, tables: Tables
) -> None:
    """A process that ended before it had written them all down leaves it to the next one."""
    tables.settings.flag(CfgFlag.POLICY_AT_SOCKET, on=True)
    noting = Initiators(tables.settings, tables.initiators, tables.given)
    assert noting.noted().is_initiator(found(noting, namespace, conversation[0])) is None
    noting.note([attachment(namespace)])
    assert tables.initiators.entries().keys() == {cookie(conversation[0])}


def test_table_is_full(
    namespace: Path,
    conversation: Conversation,
    noting: Initiators,
    tables: Tables,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """More connections than the table holds are reported, and keep no policy from coming."""
    tables.initiators.write({number.to_bytes(8, sys.byteorder): bytes(1) for number in range(ROOM)})
    noting.note([attachment(namespace)])
    assert len(tables.initiators.entries()) == ROOM
    assert "raise maps.initiator in the node config" in caplog.text


def found(initiators: Initiators, namespace: Path, end: socket.socket) -> Socket:
    """A socket as the kernel tells it."""
    every = initiators.sockets_of(attachment(namespace), (Protocol.TCP,))
    return next(each for each in every if initiator_key(each) == cookie(end))
