"""Sockets as the kernel tells them: who speaks with whom, what is kept on them, and ending one."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.packets.sockets import cookie
from twinway.errors import DriverError
from twinway.model.net import Protocol
from twinway_bpf.connections.sockdiag import End, SockDiag, Socket, State
from twinway_bpf.load import maps
from twinway_bpf.load.bundle import MapDecl
from twinway_bpf.netlink import netns
from twinway_testing import site

TCP, UDP = Protocol.TCP, Protocol.UDP
CONNECTED = (State.ESTABLISHED,)
LOOPBACK = {"v4": "127.0.0.1", "v6": "::1", "v4 mapped": "::ffff:127.0.0.1"}
"""How a program names the loopback, by the socket that it uses."""

Make = Callable[..., socket.socket]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes sockets that speak with (or from) one address, and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def new(address: str, kind: socket.SocketKind = socket.SOCK_DGRAM) -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = stack.enter_context(socket.socket(family, kind))
            made.settimeout(5)
            return made

        yield new


@pytest.fixture
def namespace() -> Iterator[Path]:
    """This thread is in a network namespace that nobody else uses."""
    with site.namespace("diag") as path, netns.inside(str(path)):
        yield path


@pytest.fixture
def diag(namespace: Path) -> Iterator[SockDiag]:
    """What there is in it."""
    with SockDiag() as diag:
        yield diag


def listed(diag: SockDiag, protocol: Protocol = UDP) -> tuple[Socket, ...]:
    """The connected ones."""
    return diag.sockets(protocol, CONNECTED)


def plain(name: tuple) -> End:
    """What a socket call names, as values of this module."""
    address = ip_address(name[0])
    return End(getattr(address, "ipv4_mapped", None) or address, name[1])


@pytest.mark.parametrize("address", LOOPBACK.values(), ids=LOOPBACK)
def test_connected_udp(diag: SockDiag, make: Make, address: str) -> None:
    """A connected UDP socket is listed by ends and cookie, mapped addresses as IPv4; an unconnected one is not."""
    make(address).bind((address, 0))
    client = make(address)
    client.connect((address, 9))
    (found,) = listed(diag)
    assert (found.local, found.peer) == (plain(client.getsockname()), plain(client.getpeername()))
    assert (found.state, found.family, found.storage) == (State.ESTABLISHED, client.family, None)
    assert found.cookie == int.from_bytes(cookie(client), sys.byteorder)


@pytest.mark.parametrize("address", LOOPBACK.values(), ids=LOOPBACK)
def test_tcp_by_state(diag: SockDiag, make: Make, address: str) -> None:
    """Both ends of a TCP connection are listed as established, and the listener by its own state alone."""
    server, client = make(address, socket.SOCK_STREAM), make(address, socket.SOCK_STREAM)
    server.bind((address, 0))
    server.listen()
    client.connect(server.getsockname())
    ends = plain(client.getsockname()), plain(server.getsockname())
    assert {(found.local, found.peer) for found in listed(diag, TCP)} == {ends, ends[::-1]}
    (listener,) = diag.sockets(TCP, [State.LISTENING])
    assert (listener.local, listener.state, listener.peer.port) == (ends[1], State.LISTENING, 0)
    accepted, _ = server.accept()
    accepted.close()
    (half,) = diag.sockets(TCP, [State.CLOSE_WAIT])
    assert half.local == ends[0]


def test_more_than_one_message_holds(diag: SockDiag, make: Make) -> None:
    """Each of a thousand sockets is listed once."""
    clients = [make("127.0.0.1") for _ in range(500)]
    clients += [make("::1") for _ in range(500)]
    for client in clients:
        client.connect(("::1" if client.family == socket.AF_INET6 else "127.0.0.1", 9))
    found = sorted(each.local for each in listed(diag) if each.local.address.version == 4)
    assert len(listed(diag)) == 1000
    assert found == sorted(plain(client.getsockname()) for client in clients[:500])


def test_stays_with_its_namespace(namespace: Path, diag: SockDiag, make: Make) -> None:
    """It tells of the namespace that it was opened in, also to a thread that has left it."""
    make("127.0.0.1").connect(("127.0.0.1", 9))
    with site.namespace("diag-other") as other:
        with netns.inside(str(other)):
            make("127.0.0.1").connect(("127.0.0.1", 10))
            assert [found.peer.port for found in listed(diag)] == [9]
        with SockDiag.inside(str(other)) as there:
            assert [found.peer.port for found in listed(there)] == [10]


def test_what_is_kept_on_sockets(diag: SockDiag, make: Make) -> None:
    """A TCP socket's value in the map that is asked for comes with it, None where it has none there."""
    with storage(40) as kept, storage(24) as other:
        server, with_both = make("127.0.0.1", socket.SOCK_STREAM), make("127.0.0.1", socket.SOCK_STREAM)
        server.bind(("127.0.0.1", 0))
        server.listen()
        with_both.connect(server.getsockname())
        kept.write({with_both.fileno().to_bytes(4, sys.byteorder): bytes(range(40))})
        other.write({with_both.fileno().to_bytes(4, sys.byteorder): bytes(range(24))})
        found = diag.sockets(TCP, CONNECTED, storage=kept.descriptor)
        values = {each.local: each.storage for each in found}
        assert values == {plain(with_both.getsockname()): bytes(range(40)), plain(server.getsockname()): None}
        assert {each.storage for each in listed(diag, TCP)} == {None}


@contextlib.contextmanager
def storage(size: int) -> Iterator[maps.Map]:
    """A socket storage map."""
    made = maps.create(MapDecl("twp_storage", maps.SK_STORAGE, 4, size, 0, 1))
    try:
        yield made
    finally:
        os.close(made.descriptor)


def test_what_is_no_storage_map(diag: SockDiag, make: Make) -> None:
    """Another descriptor than a storage map's is refused with one line that says what was tried."""
    with pytest.raises(DriverError, match="cannot list UDP sockets: Invalid argument"):
        diag.sockets(UDP, CONNECTED, storage=make("127.0.0.1").fileno())


@pytest.mark.parametrize("address", LOOPBACK.values(), ids=LOOPBACK)
def test_destroying_one_of_two(diag: SockDiag, make: Make, address: str) -> None:
    """The one that is named ends, once, and who waits on it hears of it; another with its peer goes on."""
    server, one, other = (make(address) for _ in range(3))
    server.bind((address, 0))
    for client in (one, other):
        client.connect(server.getsockname())
    victim = next(found for found in listed(diag) if found.local == plain(one.getsockname()))
    assert diag.destroy(victim)
    with pytest.raises(ConnectionAbortedError):
        one.recv(1)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        one.getpeername()
    assert not diag.destroy(victim)
    other.send(b"hello")
    assert server.recvfrom(5) == (b"hello", other.getsockname())


def test_destroying_tcp(diag: SockDiag, make: Make) -> None:
    """An established TCP socket ends with ECONNABORTED, and resets its peer."""
    server, client = make("127.0.0.1", socket.SOCK_STREAM), make("127.0.0.1", socket.SOCK_STREAM)
    server.bind(("127.0.0.1", 0))
    server.listen()
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    with accepted:
        (victim,) = (found for found in listed(diag, TCP) if found.local == plain(client.getsockname()))
        assert diag.destroy(victim)
        with pytest.raises(ConnectionAbortedError):
            client.recv(1)
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)


def test_destroying_its_successor(diag: SockDiag, make: Make) -> None:
    """A socket that has taken the place of the one that is named, ends included, is another: it stays."""
    first = make("127.0.0.1")
    first.connect(("127.0.0.1", 9))
    (found,) = listed(diag)
    name = first.getsockname()
    first.close()
    second = make("127.0.0.1")
    second.bind(name)
    second.connect(("127.0.0.1", 9))
    assert not diag.destroy(found)
    assert second.getpeername() == ("127.0.0.1", 9)


def test_whether_sockets_can_be_ended(diag: SockDiag) -> None:
    """This kernel can, or says so when it is asked to: the question and the deed agree."""
    assert diag.can_destroy()
