"""
One node's kernel side, as both drivers use it: maps, socket hooks, packet hooks, and their order.

    policy → pods → Services        written, then
    Services → pods → policy        removed

Pods stand in the tables before their hooks are set, and hooks before anybody waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping

from twinway.driver import Change, Health, Inspection, NodeContext, Report
from twinway.errors import DriverError
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import NO_POLICY, Attachment, Endpoint
from twinway_bpf import clock, programs, readback, sockets
from twinway_bpf.clients import Clients
from twinway_bpf.devices import PodDevice, local_addresses
from twinway_bpf.endpoints import EndpointTables
from twinway_bpf.hooks import GUARD, PACKET_PATH, PacketHooks, PodDevices
from twinway_bpf.layout import CfgFlag
from twinway_bpf.loader import Loader
from twinway_bpf.pins import Pins
from twinway_bpf.policy import PolicyTables
from twinway_bpf.seed import seed
from twinway_bpf.services import ServiceTables
from twinway_bpf.socket_policy import CALM_SECONDS, SocketPolicy
from twinway_bpf.sockets import CgroupHooks, Notices, Settings
from twinway_bpf.sync import Step
from twinway_bpf.users import namespaces


class Datapath:
    """The tables and hooks of one node. Nothing happens before `start`."""

    def __init__(
        self, context: NodeContext, *, at_socket: bool, capacities: Mapping[str, int], calm: float = CALM_SECONDS
    ) -> None:
        """
        `at_socket`: serve pods and enforce policy at their sockets, not on their packets.

        `calm`: of policy at sockets, see `socket_policy`.
        """
        self._at_socket = at_socket
        self._cgroup = context.cgroup_root
        self._pins = Pins(context.bpffs)
        self._loader = Loader(self._pins, context.cache / "bundles", capacities)
        self._sockets = CgroupHooks("socket", (*programs.SOCKET, programs.SETSOCKOPT), self._loader, self._pins)
        placement = GUARD if at_socket else PACKET_PATH
        self._packets = PacketHooks(placement, self._loader, self._pins, context.uplinks)
        self._policy_at_socket = SocketPolicy(self._cgroup, self._loader, self._pins, self._packets, calm=calm)
        self._devices = PodDevices()
        self._started = False
        self._node: frozenset[IPAddress] = frozenset()
        self._pods_known: list[Attachment] = []
        self._found: dict[ObjectRef, PodDevice] = {}
        self._hooked_known: list[tuple[Attachment, PodDevice | None]] = []

    def start(self) -> None:
        """Open or make tables, load programs, set socket hooks; what an earlier process left is adopted."""
        for source in programs.SOURCES:
            self._loader.open_maps(source)
        self._settings = Settings(self._loader.map("tw_cfg"))
        if not self._settings.read().rev:
            # what an earlier table of another shape had counted is on connections still: begin behind it
            self._settings.write(rev=clock.now())
        self._notices = Notices(self._loader.map("tw_notes"))
        policy = PolicyTables(self._loader.map("tw_class"), self._loader.map("tw_verdict"))
        self._endpoints = EndpointTables(self._loader.map("tw_ep"), policy)
        backends, slots, frontends = (self._loader.map(name) for name in ("tw_be", "tw_slot", "tw_fe"))
        clients = Clients(self._cgroup, self._loader.map("tw_sk"), pods=self._at_socket)
        self._services = ServiceTables(backends, slots, frontends, clients)
        self._packets.load()
        if self._at_socket:
            self._policy_at_socket.load()
        self._sockets.attach(self._cgroup)
        sockets.learn_host(self._settings, self._notices, self._cgroup)
        self._started = True

    def apply(self, change: Change) -> Report:
        """Make the kernel do what the state says. Raises DriverError; the last good state then stays."""
        if not self._started:
            raise DriverError("apply before start")
        if not change.complete:
            return self._apply_part(change)
        whole = change.repair or change.previous is None
        devices = self._look(change, again=whole)
        step, placed = self._turn(change, devices, check=whole)
        if change.previous is None or change.repair:
            step += self._services.rebuild(change.state.services, remove=True)
        else:
            step += self._services.change(change.previous.services, change.state.services)
        self._settings.flag(CfgFlag.PODS_AT_SOCKET, on=self._at_socket)
        step += self._endpoints.settle(change)
        if self._endpoints.moved:
            self._settings.grow("places")
            self._endpoints.moved = False
        self._leave_pods(self._hooked(change), devices, check=whole)
        repaired = tuple(f"hook {name} was missing" for name in placed) if change.repair else ()
        return Report(step.written + len(placed), step.removed, repaired)

    # Services that are known already help; what is not known yet of pods and policies would harm.
    def _apply_part(self, change: Change) -> Report:
        step = self._services.rebuild(change.state.services, remove=False)
        return Report(step.written)

    def catch_up(self) -> float | None:
        """Do ahead what the next apply would do first, and go on to rest; seconds until there is more to do."""
        self._endpoints.catch_up()
        return self._policy_at_socket.step()

    def dump(self) -> Inspection:
        """Read back frontends, map usage and counters."""
        return readback.inspect(self._loader.maps)

    def usage(self) -> Inspection:
        """Map usage and counters."""
        return readback.counted(self._loader.maps)

    def health(self) -> Health:
        """A connect through the socket hooks, now; and whether policy looks at sockets' packets."""
        found = sockets.health(self._notices, self._cgroup)
        if not self._at_socket:
            return found
        return Health(ok=found.ok, detail=f"{found.detail}; policy: {self._policy_at_socket.condition}")

    def service_addresses(self) -> frozenset[IPAddress]:
        """Addresses that Services have, as the kernel holds them; callable before `start`."""
        self._loader.open_maps("sock.c")
        return readback.service_addresses(self._loader.map("tw_fe"))

    def close(self) -> None:
        """Let go of everything that this process holds; the kernel goes on."""
        self._packets.close()
        self._sockets.close()
        self._policy_at_socket.close()

    def remove(self) -> None:
        """Take away what this way of serving alone needs: tables and Service hooks belong to every way."""
        spaces = [path for space in namespaces(self._cgroup) if (path := space.path)]
        self._packets.detach_all(spaces)
        if self._at_socket:
            self._policy_at_socket.remove(spaces)
        else:
            self._forget_connections()

    # Without hooks the table is history: a later packet path must not take it for what is going on.
    def _forget_connections(self) -> None:
        self._loader.open_maps("tc.c")
        table = self._loader.map("tw_ct")
        table.remove(table.entries())

    # A policy is enforced at a pod before the pod turns to it, and the guard knows none until then;
    # the packet path drops what comes from a pod it does not know, so there pods come first.
    def _turn(
        self, change: Change, devices: Mapping[ObjectRef, PodDevice], *, check: bool
    ) -> tuple[Step, tuple[str, ...]]:
        placed: tuple[str, ...] = ()
        hooked = self._hooked(change)
        moved = _pairs(hooked, devices) != self._hooked_known
        stands = not check and not moved
        if self._at_socket:
            self._policy_at_socket.before(change, hooked, again=check)
            placed = () if stands else self._packets.attach(hooked, devices, check=check)
        turn = self._endpoints.turn(change, devices, self._node)
        if self._at_socket:
            # what began while a hook was missing has not been judged
            anew = turn.judge_anew or moved or bool(placed)
            self._policy_at_socket.after(change, hooked, devices, anew=anew)
        if turn.judge_anew:
            # connections carry the revision that they were judged under
            self._settings.grow("rev")
            self._endpoints.judged()
        if not self._at_socket and not stands:
            # what began in between is known thereafter
            new = self._packets.new(hooked, devices)
            self._seed(change, new)
            placed = self._packets.attach(hooked, devices, check=check)
            self._seed(change, new)
        return turn.step, placed

    # Most changes move no pod: then every hook stands where it should. Where nobody is under a policy,
    # sockets' packets pass unseen: what looks at them goes last.
    def _leave_pods(
        self, hooked: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice], *, check: bool
    ) -> None:
        pairs = _pairs(hooked, devices)
        if check or pairs != self._hooked_known:
            self._packets.detach_stale(hooked, devices)
            self._hooked_known = pairs
            if self._at_socket:
                self._policy_at_socket.leave(hooked, devices)

    # Connections that pods have from before their packets were looked at.
    def _seed(self, change: Change, pods: tuple[Attachment, ...]) -> None:
        services, rev = change.state.services.values(), self._settings.read().rev
        seed(self._loader.map("tw_ct"), pods, self._policy_at_socket.openers, services=services, rev=rev)

    # At sockets, packets are looked at for pods under a policy alone.
    def _hooked(self, change: Change) -> Mapping[ObjectRef, Endpoint]:
        endpoints = change.state.endpoints
        if not self._at_socket:
            return endpoints
        return {ref: endpoint for ref, endpoint in endpoints.items() if endpoint.policy != NO_POLICY}

    # The pods' devices. Pods coming and going may give the host addresses (a ptp plugin's gateways),
    # nothing else does.
    def _look(self, change: Change, *, again: bool) -> Mapping[ObjectRef, PodDevice]:
        endpoints = change.state.endpoints
        attachments = [endpoint.attachment for endpoint in endpoints.values()]
        moved = again or attachments != self._pods_known
        if moved or len(self._found) < len(endpoints):
            self._found = self._devices.find(endpoints, again=again)
        if moved:
            self._node = local_addresses() | frozenset(change.state.addresses)
            self._pods_known = attachments
        return self._found


def _pairs(
    endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, PodDevice]
) -> list[tuple[Attachment, PodDevice | None]]:
    return [(endpoint.attachment, devices.get(ref)) for ref, endpoint in endpoints.items()]
