"""
Answer on one port, TCP and UDP, IPv4 and IPv6: each line comes back as `NAME CLIENT-ADDRESS LINE`.

    serve.py NAME PORT

A TCP line `flood N` is answered with N bytes of a known pattern. Prints `ready` once it listens.
Run by path in a pod's namespace, with the standard library alone. Ends when its input does.
"""

import socket
import socketserver
import sys
import threading

_MAPPED = "::ffff:"


def shown(address):
    """An address as people write it, IPv4 also where it came over a v6 socket."""
    return address[len(_MAPPED) :] if address.startswith(_MAPPED) else address


class Lines(socketserver.StreamRequestHandler):
    """One TCP client."""

    def handle(self):
        for line in self.rfile:
            word = line.decode().rstrip("\n")
            if word.startswith("flood "):
                size = int(word[6:])
                self.wfile.write((bytes(range(256)) * (size // 256 + 1))[:size])
            else:
                self.wfile.write(answer(self.server.name, self.client_address[0], word))


class Datagram(socketserver.BaseRequestHandler):
    """One UDP datagram."""

    def handle(self):
        data, talker = self.request
        talker.sendto(
            answer(self.server.name, self.client_address[0], data.decode().rstrip("\n")), self.client_address
        )


def answer(name, client, word):
    return f"{name} {shown(client)} {word}\n".encode()


class Streams(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


class Datagrams(socketserver.UDPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True


def dual(kind, handler, port):
    server = kind(("::", port), handler, bind_and_activate=False)
    server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.server_bind()
    server.server_activate()
    return server


def main():
    name, port = sys.argv[1], int(sys.argv[2])
    for kind, handler in ((Streams, Lines), (Datagrams, Datagram)):
        server = dual(kind, handler, port)
        server.name = name
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
