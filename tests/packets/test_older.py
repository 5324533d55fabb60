"""Who opened a connection that nobody of us saw beginning: told by what its sockets have counted."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.packets import site
from twinway.model.net import ObjectRef, Protocol
from twinway.model.node import Attachment
from twinway_bpf import maps, netns
from twinway_bpf.bundle import MapDecl
from twinway_bpf.layout import Side, SkPol
from twinway_bpf.maps import Map
from twinway_bpf.older import ENDING, Place, side_of
from twinway_bpf.sides import forget_sides, note_sides
from twinway_bpf.sockdiag import SockDiag, Socket, State

SO_COOKIE, SO_ATTACH_FILTER, SO_DETACH_FILTER = 57, 26, 27
HASH = 1
BYTES_RETRANS = 208  # in struct tcp_info
LOOPBACK = {"v4": "127.0.0.1", "v6": "::1"}
NOBODY: frozenset[Place] = frozenset()

Conversation = tuple[socket.socket, socket.socket]
"""Who connected, and who was accepted."""
Talk = Callable[[Conversation], object]


@pytest.fixture
def namespace() -> Iterator[Path]:
    """This thread is in a network namespace that nobody else uses."""
    with site.namespace("older") as path, netns.inside(str(path)):
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


@pytest.fixture
def kept() -> Iterator[Map]:
    """As tw_skpol, where nothing was noted yet."""
    made = maps.create(MapDecl("twp_skpol", maps.SK_STORAGE, 4, ctypes.sizeof(SkPol), 0, 1))
    yield made
    os.close(made.descriptor)


def table(entries: int) -> Map:
    """As tw_side."""
    return maps.create(MapDecl("tw_side_v1", HASH, 8, 1, entries, 1))


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


def told(ends: Conversation) -> None:
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


def told_by_counts(local: tuple) -> Side | None:
    """What is told of a socket when nobody listens anywhere, and when somebody does at its very port."""
    found = next(each for each in everything() if each.local.port == local[1])
    there = frozenset({(Protocol.TCP, *found.local)})
    sides = {side_of(found, NOBODY), side_of(found, there)}
    return sides.pop() if len(sides) == 1 else None


def everything() -> tuple[Socket, ...]:
    """All TCP connections of this namespace."""
    with SockDiag() as diag:
        return diag.sockets(Protocol.TCP, (State.ESTABLISHED, State.SYN_SENT, *ENDING), info=True)


@pytest.mark.parametrize("talk", [quiet, asked, told, client_ends, server_ends])
def test_counts_tell(conversation: Conversation, talk: Talk) -> None:
    """Whatever was said, and whoever listens by now, each end is told for what it is."""
    talk(conversation)
    names = [end.getsockname() for end in conversation]
    ends = time.monotonic() + 5
    while any(told_by_counts(name) is None for name in names):  # a last acknowledgement may wait a moment
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert [told_by_counts(name) for name in names] == [Side.ACTIVE, Side.PASSIVE]


def test_under_way_is_asked_of_listeners(conversation: Conversation) -> None:
    """What was sent and not acknowledged yet may be one byte more or less: then who listens decides."""
    client, server = conversation
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            client.send(bytes(1 << 16))
    (found,) = (each for each in everything() if each.local.port == client.getsockname()[1])
    assert side_of(found, NOBODY) == Side.ACTIVE
    assert side_of(found, frozenset({(Protocol.TCP, *found.local)})) == Side.PASSIVE


def test_lost_and_sent_again(conversation: Conversation) -> None:
    """Bytes that were sent twice are acknowledged once."""
    client, server = conversation
    with deaf(server):
        client.sendall(bytes(1000))
        time.sleep(0.3)  # the first repetition is lost, too
    assert len(server.recv(1000)) == 1000
    (found,) = (each for each in everything() if each.local.port == client.getsockname()[1])
    assert int.from_bytes((found.info or b"")[BYTES_RETRANS:][:8], "little") >= 1000
    assert told_by_counts(client.getsockname()) == Side.ACTIVE
    assert told_by_counts(server.getsockname()) == Side.PASSIVE


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
        assert side_of(found, frozenset({(Protocol.TCP, *found.local)})) == Side.ACTIVE


def attachment(namespace: Path) -> Attachment:
    """A pod that has the namespace."""
    return Attachment(ObjectRef("Pod", "shop", "pod"), "c1", str(namespace), "eth0", ())


def cookie(end: socket.socket) -> bytes:
    """What the programs know a socket by."""
    return end.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8)


def test_who_opened_is_written(namespace: Path, conversation: Conversation, kept: Map) -> None:
    """Who connected is in the table by its cookie, unless the socket says so itself; nobody else is."""
    client, server = conversation
    sides = table(10)
    with socket.socket(server.family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(server.getsockname())
        listener.listen()
        assert note_sides(sides, [attachment(namespace)], kept=kept.descriptor) == 1
    assert sides.entries() == {cookie(client): bytes((Side.ACTIVE,))}
    assert forget_sides(sides) == 1
    kept.write({client.fileno().to_bytes(4, "little"): bytes(SkPol(side=Side.ACTIVE))})
    assert note_sides(sides, [attachment(namespace)], kept=kept.descriptor) == 0
    assert sides.entries() == {}
    os.close(sides.descriptor)


def test_table_is_full(
    namespace: Path, conversation: Conversation, kept: Map, caplog: pytest.LogCaptureFixture
) -> None:
    """More connections than the table holds are told of, and keep no policy from coming."""
    sides = table(1)
    sides.write({bytes(8): bytes(1)})
    note_sides(sides, [attachment(namespace)], kept=kept.descriptor)
    assert sides.entries() == {bytes(8): bytes(1)}
    assert "raise maps.side in the node config" in caplog.text
    os.close(sides.descriptor)
