"""Every checksum that an address or a port is in stays right. (The rig looks at them all, always.)"""

from __future__ import annotations

import pytest

from tests.packets.rig import Net
from tests.packets.scene import Scene, only_v4
from twinway_bpf.tables.layout import Reason
from twinway_testing.frames import ACK, TCP, UDP, End, checksum, pseudo_header, tcp, udp

PAYLOADS = {"empty": b"", "one byte": b"x", "odd": b"three", "long": bytes(range(256)) * 5}


@pytest.mark.parametrize("protocol", [TCP, UDP], ids=["tcp", "udp"])
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_payload_is_untouched(scene: Scene, protocol: int, payload: bytes) -> None:
    """To the backend and back, headers change and data does not, whatever its length."""
    scene.open(protocol)
    there = scene.client_sends(_carrying(scene.client, scene.vip, protocol, payload)).seen
    back = scene.server_sends(_carrying(scene.server, scene.client, protocol, payload)).seen
    head = 20 if protocol == TCP else 8
    assert (there.dst, there.body[head:]) == (scene.server, payload)
    assert (back.src, back.body[head:]) == (scene.vip, payload)


def _carrying(src: End, dst: End, protocol: int, data: bytes) -> bytes:
    return tcp(src, dst, ACK, data) if protocol == TCP else udp(src, dst, data)


@pytest.mark.parametrize("port", [80, 8080, 443, 1, 65535])
def test_ports_of_all_sizes(scene: Scene, net: Net, port: int) -> None:
    """A Service's port becomes the backend's, equal or not, and comes back."""
    scene.tables.service(scene.vip, End(net.server, port))
    assert scene.open().seen.dst == End(net.server, port)
    assert scene.server_sends(tcp(End(net.server, port), scene.client, ACK)).seen.src == scene.vip


@only_v4
def test_absent_udp_checksum_stays_absent(scene: Scene) -> None:
    """A checksum of 0 says "none" over IPv4, and is not updated into a wrong one."""
    there = scene.client_sends(udp(scene.client, scene.vip, summed=False))
    assert (there.reason, there.seen.checksum) == (Reason.PASS_PEER, 0)
    back = scene.server_sends(udp(scene.server, scene.client, summed=False))
    assert (back.seen.src, back.seen.checksum) == (scene.vip, 0)


def test_udp_checksum_never_becomes_none(scene: Scene) -> None:
    """A checksum that comes out as 0 is written as 0xffff, else it would say "none"."""
    zero_sum = _data_that_sums_to_zero(scene.client, scene.server)
    assert udp(scene.client, scene.vip, zero_sum)[-4:-2] not in (bytes(2), b"\xff\xff")
    there = scene.client_sends(udp(scene.client, scene.vip, zero_sum))
    assert (there.seen.dst, there.seen.checksum) == (scene.server, 0xFFFF)


def _data_that_sums_to_zero(src: End, dst: End) -> bytes:
    """Two bytes that make the checksum of a datagram of two bytes 0."""
    segment = src.port.to_bytes(2, "big") + dst.port.to_bytes(2, "big") + b"\x00\x0a\x00\x00" + bytes(2)
    return checksum(pseudo_header(src.address, dst.address, UDP, 10) + segment).to_bytes(2, "big")
