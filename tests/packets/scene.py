"""
A node with two pods, and a Service that leads from the one to the other.

    client :4000 ── hosta │ hostb ── server :8080        vip:80 → server:8080
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, Unpack

import pytest

from tests.packets.rig import V4, V6, Net, Outcome, Rig
from tests.packets.tables import Tables
from twinway_bpf.load import programs
from twinway_testing.frames import ACK, TCP, UDP, End, tcp, udp

only_v4 = pytest.mark.parametrize("net", [V4], ids=["v4"], indirect=True)
only_v6 = pytest.mark.parametrize("net", [V6], ids=["v6"], indirect=True)


class Given(TypedDict, total=False):
    """What `Rig.run` takes beside a packet."""

    mark: int
    segments: int
    whole: bool
    came_by: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Who is there, and where their packets are met."""

    rig: Rig
    net: Net

    @property
    def client(self) -> End:
        """The client's end."""
        return End(self.net.client, 4000)

    @property
    def server(self) -> End:
        """The backend."""
        return End(self.net.server, 8080)

    @property
    def vip(self) -> End:
        """The Service."""
        return End(self.net.vip, 80)

    @property
    def tables(self) -> Tables:
        """What the programs see."""
        return self.rig.tables

    def furnish(self, *, client_policy: int = 0, server_policy: int = 0) -> None:
        """Write pods, node and Service, the latter for TCP and UDP."""
        self.tables.pod(self.net.client, self.rig.behind("hosta"), policy=client_policy)
        self.tables.pod(self.net.server, self.rig.behind("hostb"), policy=server_policy)
        self.tables.node(self.net.node)
        for protocol in (TCP, UDP):
            self.tables.service(self.vip, self.server, protocol=protocol)

    def furnish_inside(self, *, policy: int = 0) -> None:
        """Instead, the client's hooks are in its own namespace."""
        self.tables.pod(self.net.client, self.rig.behind("eth0"), policy=policy)

    @property
    def client_sends(self) -> Callable[..., Outcome]:
        """Meet a packet of the client at its host side."""
        return partial(self._meet, programs.HOST_FROM, "hosta")

    @property
    def server_sends(self) -> Callable[..., Outcome]:
        """Meet a packet of the server at its host side."""
        return partial(self._meet, programs.HOST_FROM, "hostb")

    @property
    def stack_sends(self) -> Callable[..., Outcome]:
        """Meet a packet that the host's stack has for the client, at the client's host side."""
        return partial(self._meet, programs.HOST_TO, "hosta")

    @property
    def arrives(self) -> Callable[..., Outcome]:
        """Meet a packet from the network at the uplink."""
        return partial(self._meet, programs.UPLINK_IN, "uplink")

    @property
    def leaves_pod(self) -> Callable[..., Outcome]:
        """Meet a packet of the client inside the client's namespace."""
        return partial(self._meet, programs.POD_OUT, "eth0")

    @property
    def enters_pod(self) -> Callable[..., Outcome]:
        """Meet a packet for the client inside the client's namespace."""
        return partial(self._meet, programs.POD_IN, "eth0")

    def _meet(self, program: programs.Program, at: str, packet: bytes, **given: Unpack[Given]) -> Outcome:
        return self.rig.run(program, packet, at, **given)

    def open(self, protocol: int = TCP) -> Outcome:
        """The client's first packet to the Service."""
        return self.client_sends(self.first(protocol))

    def first(self, protocol: int = TCP) -> bytes:
        """That packet."""
        return tcp(self.client, self.vip) if protocol == TCP else udp(self.client, self.vip)

    def further(self, protocol: int = TCP) -> bytes:
        """A later packet of the client to the Service."""
        return tcp(self.client, self.vip, ACK, b"more") if protocol == TCP else udp(self.client, self.vip, b"more")

    def answer(self, protocol: int = TCP) -> bytes:
        """A packet of the server to the client, as the server writes it."""
        if protocol == TCP:
            return tcp(self.server, self.client, ACK, b"answer")
        return udp(self.server, self.client, b"answer")


Doctor = Callable[..., AbstractContextManager[Scene]]
"""The scene with something of the programs' surroundings changed; see `doctored`."""
