"""
Send given packets through sockets that need CAP_NET_RAW: one JSON object per line of input, and of output.

    {"do": "frame", "packet": HEX, "to": ADDRESS}    through a packet socket, in a frame for ADDRESS's next hop
    {"do": "raw", "packet": HEX, "to": ADDRESS}      through a raw IP socket: the kernel finds the route
    {"do": "accept", "peer": ADDRESS, "text": TEXT}  forge a connection from PEER over lo, and send TEXT on it
    {"do": "source", "to": ADDRESS}                  the source address that the kernel would use
    {"do": "hop", "to": ADDRESS}                     the MAC address of the next hop to ADDRESS
    {"do": "shout", "port": N, "text": TEXT}         datagrams to broadcast and multicast, through plain sockets

`frame` also takes "mac" (another station), "tags" (numbers of VLANs), "ethertype" (the socket's protocol, where it
differs from the frame's own header) and "bypass" (PACKET_QDISC_BYPASS). A send may fail when a hook drops the
packet; that is no error here. Run by path in a place of the lab, with the standard library alone. Ends when its
input does.
"""

from __future__ import annotations

import errno
import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_DEVICE, _IPV4, _IPV6, _VLAN, _ALL = "eth0", 0x0800, 0x86DD, 0x8100, 0x0003
_SOL_PACKET, _QDISC_BYPASS = 263, 20
_DROPPED = (errno.ENOBUFS, errno.EPERM, errno.ENETUNREACH, errno.EHOSTUNREACH)
_LISTENING = 7777
_PATIENCE = 5.0


def frame(packet: str, to: str, **how: Any) -> None:
    """Send one frame out of the pod's device."""
    data = bytes.fromhex(packet)
    kind = _IPV6 if data[0] >> 4 == 6 else _IPV4
    station = bytes.fromhex(how["mac"].replace(":", "")) if how.get("mac") else _next_hop(to)
    tags = b"".join(struct.pack("!HH", 0x8100, tag) for tag in how.get("tags", ()))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        # asked of the socket: the sysfs of a place may be that of another namespace
        out.bind((_DEVICE, 0))
        own = out.getsockname()[4]
        if how.get("bypass"):
            # a node may refuse the option, or accept it without effect
            _quietly(out.setsockopt, _SOL_PACKET, _QDISC_BYPASS, 1)
        protocol = how.get("ethertype") or (_VLAN if tags else kind)
        _quietly(out.sendto, station + own + tags + struct.pack("!H", kind) + data, (_DEVICE, protocol))


def raw(packet: str, to: str) -> None:
    """Send one packet through a raw IP socket."""
    with socket.socket(_family(to), socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        _quietly(out.sendto, bytes.fromhex(packet), (to, 0))


def source(to: str) -> str:
    """The address that the kernel would choose for a packet to `to`."""
    with socket.socket(_family(to), socket.SOCK_DGRAM) as asked:
        asked.connect((to, 9))
        return str(asked.getsockname()[0])


def hop(to: str) -> str:
    """The MAC address of the next hop to `to`."""
    return _next_hop(to).hex(":")


def accept(peer: str, text: str, syn: str, finish: str) -> bool:
    """
    Whether a listener at this place accepted a connection that this program forged from `peer`.

    `syn` is the whole SYN, and `finish` the whole ACK, except for the number and the checksum that follow from the
    SYN-ACK. Both are sent to the place's own address, and so over lo.
    """
    own = str(socket.inet_ntop(_family(peer), _destination(bytes.fromhex(syn))))
    with socket.create_server((own, _LISTENING), family=_family(peer)) as listener, _tap() as tap:
        raw(syn, own)
        number = _synack(tap)
        if number is None:
            return False
        raw(_acknowledging(bytes.fromhex(finish), number + 1).hex(), own)
        listener.settimeout(1.0)
        try:
            accepted, _ = listener.accept()
        except TimeoutError:
            return False
        with accepted:
            accepted.send(text.encode())
            time.sleep(0.3)
        return True


def shout(port: int, text: str) -> None:
    """Send a datagram to the broadcast or multicast addresses of each family."""
    index = socket.if_nametoindex(_DEVICE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _DEVICE.encode())
        for address in ("255.255.255.255", "224.0.0.1"):
            _quietly(out.sendto, text.encode(), (address, port))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as out:
        _quietly(out.sendto, text.encode(), ("ff02::1", port, 0, index))


def _quietly(call: Any, *words: Any) -> None:
    try:
        call(*words)
    except OSError as error:
        if error.errno not in _DROPPED:
            raise


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _destination(packet: bytes) -> bytes:
    return packet[24:40] if packet[0] >> 4 == 6 else packet[16:20]


# The kernel resolves the neighbour when a program sends to it, even if a hook drops the datagram.
def _next_hop(to: str) -> bytes:
    words = _output("ip", "-o", "route", "get", to).split()
    hop = words[words.index("via") + 1] if "via" in words else to
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        known = _output("ip", "neigh", "show", hop, "dev", _DEVICE).split()
        if "lladdr" in known:
            return bytes.fromhex(known[known.index("lladdr") + 1].replace(":", ""))
        with socket.socket(_family(hop), socket.SOCK_DGRAM) as out:
            _quietly(out.sendto, b"", (hop, 9))
        time.sleep(0.05)
    raise TimeoutError(f"no neighbour {hop}")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _tap() -> socket.socket:
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))


# The sequence number in the SYN-ACK of our listener, on whichever device it leaves or is dropped.
def _synack(tap: socket.socket) -> int | None:
    end = time.monotonic() + 2.0
    while (left := end - time.monotonic()) > 0 and select.select([tap], [], [], left)[0]:
        packet, (_, kind, *_) = tap.recvfrom(2048)
        if kind not in (_IPV4, _IPV6):
            continue
        segment = packet[40:] if kind == _IPV6 else packet[20:]
        if segment[:2] == struct.pack("!H", _LISTENING) and segment[13] & 0x12 == 0x12:
            return int.from_bytes(segment[4:8], "big")
    return None


# The checksum changes with the number, by the difference of its words. Source: RFC 1624.
def _acknowledging(packet: bytes, number: int) -> bytes:
    at = 40 if packet[0] >> 4 == 6 else 20
    old = packet[at + 8 : at + 12]
    new = struct.pack("!I", number & 0xFFFFFFFF)
    total = 0xFFFF & ~int.from_bytes(packet[at + 16 : at + 18], "big")
    for before, after in zip(struct.unpack("!HH", old), struct.unpack("!HH", new), strict=True):
        total += (~before & 0xFFFF) + after
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (
        packet[: at + 8] + new + packet[at + 12 : at + 16] + struct.pack("!H", ~total & 0xFFFF) + packet[at + 18 :]
    )


def main() -> None:
    """Send until the input ends."""
    verbs: dict[str, Callable[..., object]] = {
        "frame": frame,
        "raw": raw,
        "source": source,
        "hop": hop,
        "accept": accept,
        "shout": shout,
    }
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer = {"result": verbs[words.pop("do")](**words)}
        except (OSError, TimeoutError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
