"""
One node's kernel side, as both drivers use it: maps, socket hooks, packet hooks, and their order.

    policy → pods → Services        written, then
    Services → pods → policy        removed

Pods stand in the tables before their hooks are set, and hooks before anybody waits for them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from twinway.driver import Change, Health, Inspection, NodeContext, Report
from twinway.errors import DriverError
from twinway.model.net import IPAddress, ObjectRef
from twinway_bpf import programs, readback
from twinway_bpf.devices import PodDevice, local_addresses
from twinway_bpf.endpoints import EndpointTables
from twinway_bpf.hooks import PacketHooks, PodDevices
from twinway_bpf.loader import Loader
from twinway_bpf.maps import Map
from twinway_bpf.pins import Pins
from twinway_bpf.policy import PolicyTables
from twinway_bpf.services import ServiceTables
from twinway_bpf.sockets import Settings, SocketHooks
from twinway_bpf.sync import Step

logger = logging.getLogger(__name__)


class Datapath:
    """The tables and hooks of one node. Nothing happens before `start`."""

    def __init__(self, context: NodeContext, *, pods_at_socket: bool, capacities: Mapping[str, int]) -> None:
        """`pods_at_socket`: serve pods' Services when their sockets connect, not on their packets."""
        self._pods_at_socket = pods_at_socket
        self._pins = Pins(context.bpffs)
        self._loader = Loader(self._pins, context.cache / "bundles", capacities)
        self._sockets = SocketHooks(self._loader, self._pins, context.cgroup_root)
        self._packets = PacketHooks(self._loader, self._pins, context.uplinks)
        self._devices = PodDevices()
        self._started = False
        self._node: frozenset[IPAddress] = frozenset()
        self._pods_known: object = None

    def start(self) -> None:
        """Open or make tables, load programs, set socket hooks; what an earlier process left is adopted."""
        for source in programs.SOURCES:
            self._loader.open_maps(source)
        maps = self._loader.maps
        self._settings = Settings(_map(maps, "tw_cfg"))
        policy = PolicyTables(_map(maps, "tw_class"), _map(maps, "tw_verdict"))
        self._endpoints = EndpointTables(_map(maps, "tw_ep"), policy)
        self._services = ServiceTables(_map(maps, "tw_be"), _map(maps, "tw_slot"), _map(maps, "tw_fe"))
        if not self._pods_at_socket:
            self._packets.load()
        self._sockets.attach()
        self._sockets.learn_host(self._settings)
        self._started = True

    def apply(self, change: Change) -> Report:
        """Make the kernel do what the state says. Raises DriverError; the last good state then stays."""
        if not self._started:
            raise DriverError("apply before start")
        state, whole = change.state, change.repair or change.previous is None
        devices = self._devices.find(state.endpoints, again=whole)
        self._node = self._node_addresses(change, again=whole)
        step = self._turn(change, devices)
        placed: tuple[str, ...] = ()
        if not self._pods_at_socket:
            placed = self._packets.attach(state.endpoints, devices, check=whole)
        previous = change.previous.services if change.previous is not None else {}
        if whole or not change.complete:
            services = self._services.rebuild(state.services, remove=change.complete)
        else:
            services = self._services.change(previous, state.services)
        step += services
        self._sockets.serve_pods(self._settings, pods=self._pods_at_socket)
        if change.complete:
            step += self._endpoints.settle(change, devices, self._node)
            if not self._pods_at_socket:
                self._packets.detach_stale(state.endpoints, devices)
        repaired = tuple(f"hook {name} was missing" for name in placed) if change.repair else ()
        return Report(step.written + len(placed), step.removed, repaired)

    def dump(self) -> Inspection:
        """Read back frontends, map usage and counters."""
        return readback.inspect(self._loader.maps)

    def health(self) -> Health:
        """A connect through the socket hooks, now."""
        return self._sockets.health(self._settings)

    def service_addresses(self) -> frozenset[IPAddress]:
        """Addresses that Services have, as the kernel holds them; callable before `start`."""
        self._loader.open_maps("sock.c")
        return readback.service_addresses(_map(self._loader.maps, "tw_fe"))

    def close(self) -> None:
        """Let go of everything that this process holds; the kernel goes on."""
        self._packets.close()

    def remove_packet_hooks(self) -> None:
        """Take the packet path's programs away, of this process and of earlier ones."""
        self._packets.detach_all()

    def remove_everything(self) -> None:
        """Leave no trace: hooks, links and tables."""
        self._packets.detach_all()
        self._sockets.detach()
        self._pins.remove_all()

    def _turn(self, change: Change, devices: Mapping[ObjectRef, PodDevice]) -> Step:
        turn = self._endpoints.turn(change, devices, self._node)
        if turn.judged_anew:
            # connections carry the revision that they were judged under
            self._settings.write(rev=(self._settings.read().rev + 1) & 0xFFFFFFFF)
        return turn.step

    # Pods coming and going may give the host addresses (a ptp plugin's gateways), nothing else does.
    def _node_addresses(self, change: Change, *, again: bool) -> frozenset[IPAddress]:
        if again or self._pods_known is not change.state.endpoints:
            self._pods_known = change.state.endpoints
            return local_addresses() | frozenset(change.state.addresses)
        return self._node


def _map(maps: Mapping[str, Map], name: str) -> Map:
    return next(table for full, table in maps.items() if full.rpartition("_v")[0] == name)
