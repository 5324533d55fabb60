"""A frame of our own through the hooks of one pod: it shows that the programs there run (kernel/probe.h)."""

from __future__ import annotations

import secrets
import socket
import sys
import time
from collections.abc import Callable

from twinway_bpf.netlink import netns
from twinway_bpf.netlink.devices import Layout, PodDevice
from twinway_bpf.tables.settings import Settings

ETH_PROBE = 0x88B5
SECONDS = 1.0
"""How long a frame may take. It passes in microseconds, unless the processor that has it is busy."""

_SHORTEST = 60  # of an Ethernet frame, without its checksum
_LOCAL = b"\x02tw\x00\x00\x00"  # a MAC that is nobody's


def passes(device: PodDevice, settings: Settings, counted: Callable[[], int]) -> bool:
    """
    Whether a frame met the programs of both directions at a pod's device just now.

    `counted`: how many such frames programs have dropped. The pod receives nothing of it. Raises OSError
    where the frame cannot be sent, since the device is down or has gone.
    """
    number, before = secrets.randbits(32) or 1, counted()
    settings.write(probe=number)
    try:
        _send(device, number)
        ends = time.monotonic() + SECONDS
        while counted() == before:
            if time.monotonic() > ends:
                return False
            time.sleep(0.0005)
        return True
    finally:
        settings.write(probe=0)


def _send(device: PodDevice, number: int) -> None:
    body = number.to_bytes(4, sys.byteorder)
    frame = _LOCAL + _LOCAL + ETH_PROBE.to_bytes(2, "big") + body
    match device:
        case PodDevice(layout=Layout.VETH, host=host) if host is not None:
            path, link = "", host
        case _:
            path, link = device.netns, device.inside
    with _packet_socket(path) as sender:
        sender.sendto(frame.ljust(_SHORTEST, b"\0"), (link.name, ETH_PROBE))


def _packet_socket(path: str) -> socket.socket:
    if not path:
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    with netns.inside(path):
        return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
