"""
Answer on one port, over TCP and UDP, IPv4 and IPv6: the answer to a line is `NAME CLIENT-ADDRESS LINE`.

    serve.py NAME PORT

The answer to a TCP line `flood N` is N bytes of a known pattern. After `bye` the server closes the connection.
Prints `ready` once it listens. Run by path in a pod's namespace, with the standard library alone.
Ends when its input does.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from typing import TypeVar

_MAPPED = "::ffff:"


def shown(address: str) -> str:
    """An address in its usual form: IPv4 without the prefix of an IPv6 socket."""
    return address[len(_MAPPED) :] if address.startswith(_MAPPED) else address


class Lines(socketserver.StreamRequestHandler):
    """One TCP client."""

    server: Streams

    def handle(self) -> None:
        """Answer line by line."""
        for line in self.rfile:
            word = line.decode().rstrip("\n")
            if word.startswith("flood "):
                size = int(word[6:])
                self.wfile.write((bytes(range(256)) * (size // 256 + 1))[:size])
            else:
                self.wfile.write(answer(self.server.name, self.client_address[0], word))
            if word == "bye":
                return


class Datagram(socketserver.BaseRequestHandler):
    """One UDP datagram."""

    server: Datagrams

    def handle(self) -> None:
        """Answer it."""
        data, talker = self.request
        talker.sendto(
            answer(self.server.name, self.client_address[0], data.decode().rstrip("\n")), self.client_address
        )


def answer(name: str, client: str, word: str) -> bytes:
    """The answer to a line."""
    return f"{name} {shown(client)} {word}\n".encode()


class Streams(socketserver.ThreadingTCPServer):
    """The TCP server, with a thread for each client."""

    name: str
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


class Datagrams(socketserver.UDPServer):
    """The UDP server."""

    name: str
    address_family = socket.AF_INET6
    allow_reuse_address = True


Server = TypeVar("Server", Streams, Datagrams)


def dual(kind: type[Server], handler: type[socketserver.BaseRequestHandler], port: int) -> Server:
    """A server on every address of both families."""
    server = kind(("::", port), handler, bind_and_activate=False)
    server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.server_bind()
    server.server_activate()
    return server


def main() -> None:
    """Serve until the input ends."""
    name, port = sys.argv[1], int(sys.argv[2])
    for server in (dual(Streams, Lines, port), dual(Datagrams, Datagram, port)):
        server.name = name
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
