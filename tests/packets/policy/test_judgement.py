"""What the agent says of a connection that goes on is what the programs at its sockets say."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

import pytest

from tests.packets.policy.test_socket_connections import established
from tests.packets.socket_fates import CLIENTS_SET, DENIED, EGRESS, INGRESS, SERVERS_SET, pod, sending
from tests.packets.sockets import Kind, Site, cookie
from tests.packets.tables import verdict
from twinway.model.net import Protocol
from twinway.model.policy import Direction
from twinway_bpf.connections import sockdiag
from twinway_bpf.tables.layout import SkPol
from twinway_sockops.judgement import Judgement
from twinway_testing.frames import End

CLASS, OTHER_CLASS = 5, 6


def open_to_class(site: Site, kind: Kind, number: int) -> None:
    """The server hears a class of addresses; the client is in class 5 of the first generation, 6 of the second."""
    pod(site, kind.server, SERVERS_SET)
    site.tables.classify(f"{kind.client.address}", CLASS, OTHER_CLASS)
    site.tables.policy(SERVERS_SET, verdict(INGRESS, allow=True, rule=1, peer=number))


def open_port(site: Site, kind: Kind, port: int) -> None:
    """The client may open to one port."""
    pod(site, kind.client, CLIENTS_SET)
    site.tables.policy(CLIENTS_SET, verdict(EGRESS, port, 16, allow=True, rule=1))


def closed_port(site: Site, kind: Kind, way: Direction, end: End) -> None:
    """A pod is open but for one port."""
    pod(site, end, SERVERS_SET, *Direction)
    site.tables.policy(SERVERS_SET, verdict(way, kind.server.port, 16, allow=False, rule=1))


def node_asks(site: Site, kind: Kind) -> None:
    """The server hears nobody, but the client is the node."""
    pod(site, kind.server, SERVERS_SET)
    site.tables.node(kind.client.address)


def deny_all(site: Site, kind: Kind) -> None:
    """The server is under a set without entries."""
    pod(site, kind.server, SERVERS_SET, *Direction)
    for key in site.tables.maps["verdict"].entries():
        site.tables.maps["verdict"].remove([key])


CASES: dict[str, Callable[[Site, Kind], object]] = {
    "no policy": lambda site, kind: None,
    "closed client": lambda site, kind: pod(site, kind.client, CLIENTS_SET),
    "closed server": lambda site, kind: pod(site, kind.server, SERVERS_SET),
    "client may open": lambda site, kind: pod(site, kind.client, CLIENTS_SET, EGRESS),
    "client may be asked": lambda site, kind: pod(site, kind.client, CLIENTS_SET, INGRESS),
    "server may open": lambda site, kind: pod(site, kind.server, SERVERS_SET, EGRESS),
    "server may be asked": lambda site, kind: pod(site, kind.server, SERVERS_SET, INGRESS),
    "class of this generation": lambda site, kind: open_to_class(site, kind, CLASS),
    "class of the other generation": lambda site, kind: open_to_class(site, kind, OTHER_CLASS),
    "port": lambda site, kind: open_port(site, kind, kind.server.port),
    "another port": lambda site, kind: open_port(site, kind, kind.server.port + 1),
    "server's port is closed": lambda site, kind: closed_port(site, kind, INGRESS, kind.server),
    "client's way to the port is closed": lambda site, kind: closed_port(site, kind, EGRESS, kind.client),
    "node": node_asks,
    "all denied": deny_all,
}


def judged(site: Site, ends: tuple[socket.socket, socket.socket]) -> list[bool]:
    """What the agent says of both ends, the initiator first."""
    tables = site.tables.maps
    judgement = Judgement(tables["ep"], tables["class"], tables["verdict"])
    with sockdiag.SockDiag() as diag:
        every = diag.sockets(Protocol.TCP, [sockdiag.State.ESTABLISHED], storage=site.tables.maps["sk"].descriptor)
    by_cookie = {each.cookie: each for each in every}
    found = [by_cookie[int.from_bytes(cookie(end), sys.byteorder)] for end in ends]
    return [
        judgement.allows(each, initiator=initiator) for each, initiator in zip(found, (True, False), strict=True)
    ]


def said(site: Site, ends: tuple[socket.socket, socket.socket]) -> list[bool]:
    """What the programs have kept of both."""
    values = [site.tables.maps["skpol"].lookup(end.fileno().to_bytes(4, sys.byteorder)) for end in ends]
    return [SkPol.from_buffer_copy(value).verdict >> 32 == 1 for value in values if value is not None]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_is_what_the_programs_say(site: Site, kind: Kind, case: Callable[[Site, Kind], object]) -> None:
    """Of either end, whichever policy it is under, they say the same; and packets go accordingly."""
    ends = established(site, kind)
    case(site, kind)
    site.tables.settings.write(rev=2)
    judgements = judged(site, ends)
    fate = sending(site, ends[0].send, ends[1])
    assert (fate is None) == all(judgements)
    if fate is None:
        assert said(site, ends) == judgements
    else:
        assert fate == DENIED[INGRESS if judgements[0] else EGRESS]


@pytest.mark.parametrize("asks_service", [True, False], ids=["through a Service", "by its own address"])
@pytest.mark.parametrize("open_ways", [(), (EGRESS,), (INGRESS,), (EGRESS, INGRESS)])
def test_of_a_pod_and_itself(
    site: Site, kind: Kind, open_ways: tuple[Direction, ...], *, asks_service: bool
) -> None:
    """A pod that was given itself is judged both ways, and by its own address not at all."""
    own = End(kind.client.address, 8080)
    site.tables.service(kind.vip, own)
    listener = site.listen(own)
    client = site.open(kind, socket.SOCK_STREAM)
    client.bind(kind.spelled(kind.client))
    client.connect(kind.spelled(kind.vip if asks_service else own))
    accepted, _ = listener.accept()
    site.keep(accepted)
    pod(site, kind.client, CLIENTS_SET, *open_ways)
    site.tables.settings.write(rev=2)
    judgements = judged(site, (client, accepted))
    assert all(judgements) == (not asks_service or len(open_ways) == 2)
    assert (sending(site, client.send, accepted) is None) == all(judgements)
