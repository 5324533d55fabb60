"""
One node's kernel side, as both drivers use it: maps, socket hooks, packet hooks, and their order.

    policy → pods → Services        written, then
    Services → pods → policy        removed

Pods stand in the tables before their hooks are set, and hooks before anybody waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from twinway.driver import Change, Health, Inspection, NodeContext, Report
from twinway.errors import DriverError
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import FENCED, NO_POLICY, Attachment, Endpoint
from twinway_bpf.attach import probe
from twinway_bpf.attach.around import know_namespaces
from twinway_bpf.attach.cgroup import CgroupHooks
from twinway_bpf.attach.hooks import PacketHooks, PodDevices
from twinway_bpf.attach.placement import GUARD, PACKET_PATH
from twinway_bpf.connections.clients import Clients
from twinway_bpf.connections.seed import seed
from twinway_bpf.connections.users import namespaces
from twinway_bpf.load import programs
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.pins import Pins
from twinway_bpf.netlink.devices import PodDevice, local_addresses
from twinway_bpf.socket_policy import CALM_SECONDS, SocketPolicy
from twinway_bpf.tables import clock, readback, services
from twinway_bpf.tables.endpoints import Devices, EndpointTables, Turn
from twinway_bpf.tables.layout import CfgFlag
from twinway_bpf.tables.policy import PolicyTables
from twinway_bpf.tables.settings import Notices, Settings
from twinway_bpf.tables.shares import Sweep, write_limits
from twinway_bpf.tables.sync import Step


class Datapath:
    """The tables and hooks of one node. Nothing happens before `start`."""

    def __init__(
        self,
        context: NodeContext,
        *,
        at_socket: bool,
        capacities: Mapping[str, int],
        calm: float = CALM_SECONDS,
        section: str = "maps",
    ) -> None:
        """
        `at_socket`: serve pods and enforce policy at their sockets, not on their packets.

        `calm`: of policy at sockets, see `socket_policy`; `section`: where the node config has `capacities`.
        """
        self._at_socket = at_socket
        self._cgroup = context.cgroup_root
        self._pins = Pins(context.bpffs)
        self._loader = Loader(self._pins, context.cache / "bundles", capacities, section)
        self._sockets = CgroupHooks("socket", (*programs.SOCKET, programs.SETSOCKOPT), self._loader, self._pins)
        placement = GUARD if at_socket else PACKET_PATH
        self._packets = PacketHooks(placement, self._loader, self._pins, context.uplinks)
        self._policy_at_socket = SocketPolicy(self._cgroup, self._loader, self._pins, self._packets, calm=calm)
        self._sweep = Sweep(self._loader.map)
        self._devices = PodDevices()
        self._started = False
        self._node: frozenset[IPAddress] = frozenset()
        self._pods_known: list[Attachment] = []
        self._found: dict[ObjectRef, PodDevice] = {}
        self._pairs_known: list[Pair] = []
        self._unseeded: tuple[Attachment, ...] = ()
        self._unlisted = ""

    def start(self) -> None:
        """Open or make tables, load programs, set socket hooks; what an earlier process left is adopted."""
        for source in programs.SOURCES:
            self._loader.open_maps(source)
        self._settings = Settings(self._loader.map("tw_cfg"))
        if not self._settings.read().rev:
            # what an earlier table of another shape had counted is on connections still: begin behind it
            self._settings.write(rev=clock.now())
        self._notices = Notices(self._loader.map("tw_notes"))
        write_limits(*(self._loader.map(name) for name in ("tw_limit", "tw_ct", "tw_udp")))
        policy = PolicyTables(self._loader.map("tw_class"), self._loader.map("tw_verdict"))
        self._endpoints = EndpointTables(self._loader.map("tw_ep"), policy)
        tables = {name: self._loader.map(f"tw_{name}") for name in services.TABLES}
        clients = Clients(self._cgroup, self._loader.map("tw_sk"), pods=self._at_socket)
        self._services = services.ServiceTables(tables, clients)
        self._packets.load()
        if self._at_socket:
            self._policy_at_socket.load()
        self._sockets.attach(self._cgroup)
        if self._loader.has_remade():
            self._packets.reload()
            if self._at_socket:
                self._policy_at_socket.reload()
            self._loader.let_earlier_go()
        probe.learn_host(self._settings, self._notices, self._cgroup)
        self._started = True

    def apply(self, change: Change) -> Report:
        """Make the kernel do what the state says. Raises DriverError; the last good state then stays."""
        if not self._started:
            raise DriverError("apply before start")
        if not change.complete:
            return self._apply_part(change)
        whole = change.repair or change.previous is None
        lost = self._restore() if whole else ()
        devices = self._look(change, again=whole)
        turn = self._turn_at_sockets if self._at_socket else self._turn_on_packets
        step, placed = turn(change, devices, check=whole)
        if change.previous is None or change.repair:
            step += self._services.rebuild(change.state.services, remove=True)
        else:
            step += self._services.change(change.previous.services, change.state.services)
        self._settings.flag(CfgFlag.PODS_AT_SOCKET, on=self._at_socket)
        step += self._endpoints.settle(change)
        if self._endpoints.moved:
            self._settings.grow("places")
            self._endpoints.moved = False
        self._leave_pods(change, devices, check=whole)
        self._tell_refused()
        repaired = (*lost, *(f"hook {name} was missing" for name in placed)) if change.repair else ()
        return Report(step.written + len(placed), step.removed, repaired)

    # Services that are known already help; what is not known yet of pods and policies would harm.
    def _apply_part(self, change: Change) -> Report:
        step = self._services.rebuild(change.state.services, remove=False)
        return Report(step.written)

    def catch_up(self) -> float | None:
        """Do ahead what the next apply would do first, and go on to rest; seconds until there is more to do."""
        self._endpoints.catch_up()
        pauses = self._policy_at_socket.step(), self._sweep.step()
        return min((pause for pause in pauses if pause is not None), default=None)

    def dump(self) -> Inspection:
        """Read back frontends, map usage and counters."""
        return readback.inspect(self._loader.maps)

    def usage(self) -> Inspection:
        """Map usage and counters."""
        return readback.counted(self._loader.maps)

    def health(self) -> Health:
        """A connect through the socket hooks, now, every hook in its place, and what policy does at sockets."""
        fault = self._pins.fault()
        if fault:
            return Health(ok=False, detail=fault)
        found = probe.health(self._notices, self._cgroup)
        if found.ok and (missing := self._missing()):
            found = Health(ok=False, detail=f"missing: {_few(missing)}")
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
        for name in ("tw_ct", "tw_ct_share"):
            table = self._loader.map(name)
            table.remove(table.entries())

    # What this process keeps open can be pinned again, and what it loaded can be attached again.
    def _restore(self) -> tuple[str, ...]:
        fault = self._pins.fault()
        if fault:
            raise DriverError(fault)
        lost = tuple(f"the pin of table {name} was missing" for name in self._loader.keep())
        hooks = self._sockets.missing()
        if hooks:
            self._sockets.attach(self._cgroup)
            self._policy_at_socket.forget()
        if self._at_socket:
            hooks += self._policy_at_socket.missing()
        return (*lost, *(f"hook {name} was missing" for name in hooks))

    def _missing(self) -> tuple[str, ...]:
        hooks = (*self._sockets.missing(), *self._packets.missing())
        if self._at_socket:
            hooks += self._policy_at_socket.missing()
        pins = (f"the pin of table {name}" for name in self._loader.unpinned())
        return (*(f"hook {name}" for name in hooks), *pins)

    # A policy is enforced at a pod before the pod turns to it: the guard asks which one.
    def _turn_at_sockets(self, change: Change, devices: Devices, *, check: bool) -> tuple[Step, tuple[str, ...]]:
        endpoints = change.state.endpoints
        hooked = {ref: endpoint for ref, endpoint in endpoints.items() if endpoint.policy != NO_POLICY}
        pairs = _pairs(endpoints, devices)
        moved = [pair for pair in pairs if pair[2]] != [pair for pair in self._pairs_known if pair[2]]
        self._policy_at_socket.before(change, hooked, again=check)
        placed: tuple[str, ...] = ()
        free: tuple[str, ...] = ()
        if check or pairs != self._pairs_known:
            placed = self._packets.attach(hooked, devices, check=check)
            others = {ref: endpoint for ref, endpoint in endpoints.items() if ref not in hooked}
            free = self._packets.attach(others, devices, check=check, weaken=False)
        turn = self._endpoints.turn(self._shut(change), devices, self._node)
        # what began while a hook was missing has not been judged
        anew = turn.judge_anew or moved or bool(placed)
        self._policy_at_socket.after(change, hooked, devices, anew=anew)
        self._judged(turn)
        return turn.step, placed + free

    # The packet path drops what comes from a pod that it does not know, so here pods come first.
    def _turn_on_packets(self, change: Change, devices: Devices, *, check: bool) -> tuple[Step, tuple[str, ...]]:
        endpoints = change.state.endpoints
        shut = self._shut(change)
        turn = self._endpoints.turn(shut, devices, self._node)
        self._judged(turn)
        if not check and _pairs(endpoints, devices) == self._pairs_known:
            return turn.step, ()
        # what began in between is known thereafter
        new = (*self._packets.new(endpoints, devices), *self._unseeded)
        self._seed(change, new)
        placed = self._packets.attach(endpoints, devices, check=check)
        self._seed(change, new)
        again = self._shut(change)
        if again == shut:
            return turn.step, placed
        last = self._endpoints.turn(again, devices, self._node)
        self._judged(last)
        return turn.step + last.step, placed

    # Connections carry the revision that they were judged under.
    def _judged(self, turn: Turn) -> None:
        if turn.judge_anew:
            self._settings.grow("rev")
            self._endpoints.judged()

    # A pod under a policy at whose device nobody could enforce it is shut by all that can: the programs of
    # those it speaks with, and of its sockets.
    def _shut(self, change: Change) -> Change:
        refused = self._packets.refused
        shut = {
            ref: replace(endpoint, policy=FENCED)
            for ref, endpoint in change.state.endpoints.items()
            if ref in refused and endpoint.policy != NO_POLICY
        }
        if not shut:
            return change
        return replace(change, state=replace(change.state, endpoints={**change.state.endpoints, **shut}))

    def _tell_refused(self) -> None:
        if self._unlisted:
            raise DriverError(self._unlisted)
        if refused := self._packets.refused:
            why = [f"{ref.namespace}/{ref.name}, {said}" if ref else said for ref, said in refused.items()]
            raise DriverError(f"hooks cannot be set, pods under a policy are shut until they can: {_few(why)}")

    # Most changes move no pod: then every hook stands where it should. Where nobody is under a policy,
    # sockets' packets pass unseen: what looks at them goes last.
    def _leave_pods(self, change: Change, devices: Devices, *, check: bool) -> None:
        endpoints = change.state.endpoints
        pairs = _pairs(endpoints, devices)
        if not check and pairs == self._pairs_known:
            return
        if self._at_socket:
            self._packets.attach(endpoints, devices, check=False)
        self._packets.detach_stale(endpoints, devices)
        know_namespaces(self._loader.map("tw_netns"), devices.values())
        self._pairs_known = pairs
        if self._at_socket:
            hooked = {ref: endpoint for ref, endpoint in endpoints.items() if endpoint.policy != NO_POLICY}
            self._policy_at_socket.leave(hooked, devices)

    # Connections that pods have from before their packets were looked at. Pods whose sockets cannot be listed
    # are hooked all the same, and asked again.
    def _seed(self, change: Change, pods: tuple[Attachment, ...]) -> None:
        served, rev = change.state.services.values(), self._settings.read().rev
        try:
            seed(self._loader.map("tw_ct"), pods, self._policy_at_socket.openers, services=served, rev=rev)
        except DriverError as error:
            self._unseeded, self._unlisted = pods, str(error)
        else:
            self._unseeded, self._unlisted = (), ""

    # The pods' devices. Pods coming and going may give the host addresses (a ptp plugin's gateways),
    # nothing else does.
    def _look(self, change: Change, *, again: bool) -> Mapping[ObjectRef, PodDevice]:
        endpoints = change.state.endpoints
        attachments = [endpoint.attachment for endpoint in endpoints.values()]
        moved = again or attachments != self._pods_known
        if moved or len(self._found) < len(endpoints):
            self._found = self._devices.find(endpoints, again=again)
        if moved:
            # a Service's address is nobody's to speak from, unless the API says that it is the node's
            served = {each.address for service in change.state.services.values() for each in service.frontends}
            self._node = (local_addresses() - served) | frozenset(change.state.addresses)
            self._pods_known = attachments
        return self._found


Pair = tuple[Attachment, PodDevice | None, bool]
"""A pod's device, and whether a policy selects it."""


def _pairs(endpoints: Mapping[ObjectRef, Endpoint], devices: Devices) -> list[Pair]:
    return [(each.attachment, devices.get(ref), each.policy != NO_POLICY) for ref, each in endpoints.items()]


def _few(lines: Sequence[str], most: int = 3) -> str:
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more
