"""Options by which frames would pass by the programs at a pod's device."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

import pytest

from tests.packets.socket_fates import DATAGRAM
from tests.packets.sockets import KINDS, Site
from twinway_bpf.netlink import netns

SOL_PACKET, PACKET_QDISC_BYPASS, PACKET_VERSION = 263, 20, 10
AF_XDP, SOL_XDP, XDP_RX_RING, XDP_TX_RING = 44, 283, 2, 3
TPACKET_V2 = 1
LONG = 8192
"""More bytes than are copied for programs."""


def in_host(_site: Site, family: int) -> socket.socket:
    """A raw socket of the host's."""
    return socket.socket(family, socket.SOCK_RAW, 0)


def in_pod(site: Site, family: int) -> socket.socket:
    """A raw socket of a pod's."""
    with netns.inside(str(site.pod)):
        return socket.socket(family, socket.SOCK_RAW, 0)


@pytest.mark.parametrize(("opened", "kept"), [(in_host, 1), (in_pod, 0)], ids=["host", "pod"])
def test_bypass_is_the_hosts_alone(site: Site, opened: Callable[[Site, int], socket.socket], kept: int) -> None:
    """A pod may ask its packet socket to pass by tc, which succeeds without effect; the host may, and it does."""
    with opened(site, socket.AF_PACKET) as packet:
        packet.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        assert packet.getsockopt(SOL_PACKET, PACKET_QDISC_BYPASS) == kept


def test_other_options_of_packet_sockets_are_theirs(site: Site) -> None:
    """What does not pass by anything is set as before."""
    with in_pod(site, socket.AF_PACKET) as packet:
        packet.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        assert packet.getsockopt(SOL_PACKET, PACKET_VERSION) == TPACKET_V2


def test_only_the_host_sends_by_xdp(site: Site) -> None:
    """A pod's AF_XDP socket may receive, and gets no ring to send by."""
    try:
        xdp = in_pod(site, AF_XDP)
    except OSError as error:
        pytest.skip(f"this kernel has no AF_XDP sockets: {error.strerror}")
    ring = struct.pack("=i", 16)
    with xdp:
        xdp.setsockopt(SOL_XDP, XDP_RX_RING, ring)
        with pytest.raises(PermissionError):
            xdp.setsockopt(SOL_XDP, XDP_TX_RING, ring)
    with in_host(site, AF_XDP) as xdp:
        xdp.setsockopt(SOL_XDP, XDP_TX_RING, ring)


def test_long_values_reach_the_kernel(site: Site) -> None:
    """A value longer than what programs are shown is the kernel's to judge, as without us."""
    client = site.in_pod(KINDS["v4"], DATAGRAM)
    before = client.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, struct.pack("=i", before + 3).ljust(LONG, b"\0"))
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY) == before + 3
    with pytest.raises(OSError, match=r".*") as refused:
        client.setsockopt(socket.SOL_SOCKET, 9999, bytes(LONG))
    assert refused.value.errno == errno.ENOPROTOOPT
