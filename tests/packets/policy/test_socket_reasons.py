"""Every reason for which policy at sockets drops a packet, each reached by a socket's."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.packets.socket_fates import CLIENTS_SET, EGRESS, INGRESS, SERVERS_SET, STREAM, beginning, memory, pod
from tests.packets.sockets import KINDS, Site
from twinway_bpf.tables.layout import CfgFlag, Reason
from twinway_testing.frames import tcp

V4 = KINDS["v4"]


def _denied_ingress(site: Site) -> None:
    pod(site, V4.server, SERVERS_SET, EGRESS)
    beginning(site, V4, STREAM)


def _denied_egress(site: Site) -> None:
    pod(site, V4.client, CLIENTS_SET, INGRESS)
    beginning(site, V4, STREAM)


def _short(site: Site) -> None:
    pod(site, V4.client, CLIENTS_SET, EGRESS, INGRESS)
    cut = tcp(V4.client, V4.server)[14 : 14 + 20 + 2]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(cut, (str(V4.server.address), 0))


def _without_room(site: Site) -> None:
    pod(site, V4.client, CLIENTS_SET, EGRESS, INGRESS)
    # as one that connected before policy came
    site.tables.settings.flag(CfgFlag.POLICY_AT_SOCKET, on=False)
    with memory(0), site.at(V4, STREAM, V4.client) as client:
        client.setblocking(False)
        client.connect_ex(V4.spelled(V4.server))


REACHED: dict[Reason, Callable[[Site], None]] = {
    Reason.DROP_SHORT: _short,
    Reason.DROP_POLICY_INGRESS: _denied_ingress,
    Reason.DROP_POLICY_EGRESS: _denied_egress,
    Reason.DROP_NO_ENTRY: _without_room,
}
"""What leads to each reason that policy at sockets can drop for."""


@pytest.mark.parametrize("reason", REACHED, ids=lambda reason: reason.name.lower())
def test_is_reached(site: Site, reason: Reason) -> None:
    """A packet gets there, and is counted for it and for nothing else."""
    before = site.tables.counts()
    REACHED[reason](site)
    after = site.tables.counts()
    dropped = {each for each in Reason if each >= Reason.DROP_SHORT and after[each] != before[each]}
    assert dropped == {reason}
