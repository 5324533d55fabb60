"""A real packet of which only the Ethernet header is linear: everything else is still found, and rewritten."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from tests.packets.read import read
from tests.packets.scene import Scene
from twinway_bpf.load import features, libbpf, programs
from twinway_bpf.netlink import netns
from twinway_testing.frames import UDP, End, udp

SOL_PACKET, PACKET_VNET_HDR = 263, 15  # Source: include/uapi/linux/if_packet.h
MTU = 9000
PAYLOAD = bytes(range(256)) * 20
"""More than a page, or the kernel makes all of it linear. Source: packet_alloc_skb()."""
LINEAR = struct.pack("=BBHHHH", 0, 0, 14, 0, 0, 0)
"""struct virtio_net_hdr: no offloads, and headers of 14 bytes."""
SECONDS = 5

pytestmark = pytest.mark.skipif(not features.has_tcx(), reason="no tcx to set a program with (6.6)")


@pytest.fixture
def hooked(scene: Scene) -> Iterator[Scene]:
    """The client's host side with its program in place, and devices that take large packets."""
    device = scene.rig.devices["hosta"]
    with netns.inside(str(device.namespace)):
        _resize(MTU)
        link = libbpf.link_create(scene.rig._loaded[programs.HOST_FROM.name], device.ifindex, programs.TCX_INGRESS)
    try:
        yield scene
    finally:
        os.close(link)
        with netns.inside(str(device.namespace)):
            _resize(1500)


def _resize(mtu: int) -> None:
    for name in ("hosta", "hosta1", "uplink", "uplink1"):
        subprocess.run(["ip", "link", "set", name, "mtu", str(mtu)], check=True)


def _wire(scene: Scene, name: str) -> socket.socket:
    namespace = scene.rig.devices["hosta"].namespace
    with netns.inside(str(namespace)):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        wire.bind((name, 0))
    wire.settimeout(SECONDS)
    return wire


def test_headers_in_pages(hooked: Scene) -> None:
    """A datagram to a Service leaves for its backend outside, with its addresses, ports and checksums right."""
    backend = End(hooked.net.outside, 9000)
    hooked.tables.service(hooked.vip, backend, protocol=UDP)
    with _wire(hooked, "hosta1") as pod, _wire(hooked, "uplink1") as beyond:
        pod.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        pod.send(LINEAR + udp(hooked.client, hooked.vip, PAYLOAD))
        arrived = next(filter(lambda frame: PAYLOAD in frame, iter(lambda: beyond.recv(2 * MTU), None)))
    seen = read(arrived)
    assert (seen.src, seen.dst, seen.faults) == (hooked.client, backend, ())
