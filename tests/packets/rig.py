"""
The real programs with real maps, run on one packet at a time.

    namespace "host"   hosta, hostb   host sides of two pods
                       uplink         with 192.168.0.1/24, fd01::1/64 and a default route
    namespace "pod"    eth0           as a pod has it, on a subnet with its neighbours
                       other eth0     the same for another pod: its stamp alone differs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from tests.packets.read import Seen, read
from tests.packets.tables import Tables
from twinway_bpf.load import programs
from twinway_bpf.load.programs import Program
from twinway_bpf.netlink import netns
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Reason
from twinway_testing import testrun
from twinway_testing.frames import IPAddress

UNSPEC, SHOT, REDIRECT = -1, 2, 7
"""TC_ACT_*."""


@dataclass(frozen=True, slots=True)
class Net:
    """One family's addresses, by the part they play."""

    client: IPAddress
    server: IPAddress
    """Another pod of this node."""
    other: IPAddress
    """A third pod."""
    away: IPAddress
    """A pod of another node."""
    vip: IPAddress
    node: IPAddress
    outside: IPAddress
    hairpin: IPAddress
    """What a pod that is given itself sees as its client."""

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.client.version

    @property
    def icmp(self) -> int:
        """The protocol number of its ICMP."""
        return 1 if self.version == 4 else 58


def _net(*addresses: str) -> Net:
    return Net(*map(ip_address, addresses))


V4 = _net(
    "10.1.0.5", "10.1.0.9", "10.1.0.7", "10.2.0.9", "10.96.0.10", "192.168.0.1", "198.51.100.7", "169.254.42.1"
)
V6 = _net(
    *("fd00:1::5", "fd00:1::9", "fd00:1::7", "fd00:2::9", "fd96::10", "fd01::1", "2001:db8::7"),
    "fd74:7769:6e77:6179::1",
)

CLIENT_MAC = bytes.fromhex("02000000c001")
HOST_MAC = bytes.fromhex("02000000c0ff")
"""The pods', and their host sides', as the tables say them."""
GATEWAY_MAC = bytes.fromhex("02000000ee01")
NEIGHBOUR_MAC = bytes.fromhex("02000000ee02")

HOST = (
    *(f"link add name {name} type veth peer name {name}1" for name in ("hosta", "hostb", "uplink")),
    *(f"link set {name} up" for name in ("hosta", "hosta1", "hostb", "hostb1", "uplink", "uplink1")),
    "link set uplink address 02:00:00:00:bb:01",
    "addr add 192.168.0.1/24 dev uplink",
    "addr add fd01::1/64 dev uplink nodad",
    "neigh add 192.168.0.254 dev uplink lladdr 02:00:00:00:ee:01 nud permanent",
    "neigh add fd01::fe dev uplink lladdr 02:00:00:00:ee:01 nud permanent",
    "route add default via 192.168.0.254",
    "route add default via fd01::fe",
    "route add 10.2.0.0/24 via 192.168.0.253",
    "route add fd00:2::/64 via fd01::fd",
    "route add unreachable 203.0.113.0/24",
    "route add unreachable 2001:db8:ffff::/64",
)
"""The gateway's MAC is known; that of the other node, next hop of `Net.away`, is not."""

POD = (
    "link add name eth0 type veth peer name eth1",
    "link set eth0 up",
    "link set eth1 up",
    "addr add 10.1.0.5/24 dev eth0",
    "addr add fd00:1::5/64 dev eth0 nodad",
    "neigh add 10.1.0.9 dev eth0 lladdr 02:00:00:00:ee:02 nud permanent",
    "neigh add fd00:1::9 dev eth0 lladdr 02:00:00:00:ee:02 nud permanent",
)
"""The pod knows the MAC of `Net.server`, and not that of `Net.other`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one packet."""

    reason: Reason
    action: int
    packet: bytes
    mark: int

    @property
    def seen(self) -> Seen:
        """The packet as it left."""
        return read(self.packet)


@dataclass(frozen=True, slots=True)
class Device:
    """Where packets are met; in a pod's namespace they bear that pod's stamp there."""

    namespace: Path
    ifindex: int
    stamp: int = 0


class Rig:
    """Runs programs; `tables` is what they see."""

    def __init__(self, tables: Tables, loaded: Mapping[str, int], devices: Mapping[str, Device]) -> None:
        self.tables = tables
        self._loaded = loaded
        self.devices = devices

    def behind(self, name: str) -> encode.Place:
        """The place of a pod whose host side, or own device, this is."""
        device = self.devices[name]
        if device.stamp:
            return encode.Place(stamp=device.stamp)
        return encode.Place(device.ifindex, CLIENT_MAC, HOST_MAC)

    def run(
        self,
        program: Program,
        packet: bytes,
        at: str,
        *,
        mark: int = 0,
        segments: int = 0,
        whole: bool = True,
        came_by: int = 0,
    ) -> Outcome:
        """
        Run `program` on a packet met at the device `at`.

        One reason is given, and counted; guards count what they drop, and say nothing of the rest.
        What is not dropped must have every checksum right, if it was `whole` when it came.
        """
        device = self.devices[at]
        size = 1000 if segments else 0
        context = testrun.Context(ifindex=device.ifindex, mark=mark, gso_segs=segments, gso_size=size)
        context.cb[4] = device.stamp
        context.ingress_ifindex = came_by or (device.ifindex if device.stamp else 0)
        before = self.tables.counts()
        with netns.inside(str(device.namespace)):
            ran = testrun.run(self._loaded[program.name], packet, context)
        given = [reason for reason, count in self.tables.counts().items() for _ in range(count - before[reason])]
        if program in (*programs.GUARD, programs.SOURCE_FROM) and ran.action == UNSPEC:
            given.append(Reason.GO_ON)
        assert len(given) == 1, f"reasons given: {given}"
        outcome = Outcome(given[0], ran.action, ran.packet, ran.mark)
        if whole and outcome.action != SHOT and outcome.packet[12:14] in (b"\x08\x00", b"\x86\xdd"):
            assert outcome.seen.faults == ()
        return outcome
