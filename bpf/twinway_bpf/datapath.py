"""
One node's kernel side: the tables that every driver shares, and the order in which they are written.

    policy → pods → Services        written, then
    Services → pods → policy        removed

How pods are served is up to a `PodPath`, which is called between these steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from twinway.driver import Change, Health, Inspection, Report
from twinway.errors import DriverError
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import DENY_ALL, NO_POLICY, Attachment
from twinway_bpf.attach import probe
from twinway_bpf.attach.around import know_namespaces
from twinway_bpf.attach.cgroup import CgroupHooks
from twinway_bpf.attach.hooks import PodDevices
from twinway_bpf.connections.clients import Clients
from twinway_bpf.connections.users import namespaces
from twinway_bpf.load import programs
from twinway_bpf.netlink.devices import PodDevice, local_addresses
from twinway_bpf.node import NodeKernel
from twinway_bpf.pod_path import PodHook, PodPath, Pods
from twinway_bpf.tables import clock, readback, services
from twinway_bpf.tables.denials import Denials
from twinway_bpf.tables.endpoints import EndpointTables, Switch
from twinway_bpf.tables.policy import PolicyTables
from twinway_bpf.tables.shares import Sweep, write_limits
from twinway_bpf.tables.sync import Step


class Datapath:
    """The tables and hooks of one node. Nothing happens before `start`."""

    def __init__(self, node: NodeKernel, path: PodPath) -> None:
        """`path` serves the pods; the host's own clients are served at their sockets in any case."""
        self._node = node
        self._path = path
        self._sockets = CgroupHooks("socket", (*programs.SOCKET, programs.SETSOCKOPT), node.loader, node.pins)
        self._sweep = Sweep(node.table)
        self._devices = PodDevices()
        self._started = False
        self._node_addresses: frozenset[IPAddress] = frozenset()
        self._attachments: list[Attachment] = []
        self._found: dict[ObjectRef, PodDevice] = {}
        self._hooked: list[PodHook] = []

    def start(self) -> None:
        """Open or make tables, load programs, set socket hooks; what an earlier process left is adopted."""
        node = self._node
        node.open_tables()
        if not node.settings.read().rev:
            # connections may still carry what an earlier table of another layout counted: begin behind it
            node.settings.write(rev=clock.now())
        write_limits(*(node.table(name) for name in ("tw_limit", "tw_ct", "tw_udp")))
        policy = PolicyTables(node.table("tw_class"), node.table("tw_verdict"))
        self._endpoints = EndpointTables(node.table("tw_ep"), policy)
        self._denials = Denials(node.table("tw_denied"))
        tables = {name: node.table(f"tw_{name}") for name in services.TABLES}
        clients = Clients(node.cgroup, node.table("tw_sk"), self._path.socket_clients)
        self._services = services.ServiceTables(tables, clients)
        self._path.load()
        self._sockets.attach(node.cgroup)
        if node.loader.has_remade():
            self._path.reload()
            node.loader.let_earlier_go()
        probe.learn_host(node.settings, node.notices, node.cgroup)
        self._started = True

    def apply(self, change: Change) -> Report:
        """Make the kernel do what the state says. Raises DriverError; the last good state then stays."""
        if not self._started:
            raise DriverError("apply before start")
        if not change.complete:
            return self._apply_part(change)
        whole = change.repair or change.previous is None
        lost = self._restore() if whole else ()
        pods = self._look(change, check=whole)
        placed = self._path.before_switch(change, pods)
        switch, refused = self._switch(change, pods), self._path.refused
        placed += self._path.after_switch(change, pods, switch)
        self._endpoints.judged()
        step = switch.step
        if self._path.refused != refused:
            step += self._switch(change, pods).step
            self._endpoints.judged()
        step += self._apply_services(change)
        self._path.take_charge()
        step += self._endpoints.settle(change)
        self._denials.follow(change.state.endpoints, self._endpoints.devices)
        self._forget_senders()
        if pods.moved:
            self._leave(pods)
        self._raise_refused()
        repaired = (*lost, *(f"hook {name} was missing" for name in placed)) if change.repair else ()
        return Report(step.written + len(placed), step.removed, repaired)

    # Services that are known already are served. Pods and policies wait: a half-known policy would be wrong.
    def _apply_part(self, change: Change) -> Report:
        step = self._services.rebuild(change.state.services, remove=False)
        return Report(step.written)

    def catch_up(self) -> float | None:
        """Prepare the tables for their next change; seconds until there is more to do, None: nothing is left."""
        self._endpoints.catch_up()
        pauses = self._path.catch_up(), self._sweep.step()
        return min((pause for pause in pauses if pause is not None), default=None)

    def dump(self) -> Inspection:
        """Read back frontends, map usage and counters."""
        return readback.inspect(self._node.loader.maps)

    def usage(self) -> Inspection:
        """Map usage and counters."""
        return readback.counted(self._node.loader.maps)

    def health(self) -> Health:
        """A connect through the socket hooks, now, every hook in its place, and how the path itself works."""
        if fault := self._node.pins.fault():
            return Health(ok=False, detail=fault)
        found = probe.health(self._node.notices, self._node.cgroup)
        if found.ok and (missing := self._missing()):
            found = Health(ok=False, detail=f"missing: {_few(missing)}")
        path = self._path.health()
        return Health(
            ok=found.ok and path.ok, detail="; ".join(each for each in (found.detail, path.detail) if each)
        )

    def close(self) -> None:
        """Close every descriptor that this process holds; traffic goes on."""
        self._sockets.close()
        self._path.close()
        self._node.close()

    def remove(self) -> None:
        """Remove what this way of serving alone needs; tables and Service hooks belong to every driver."""
        self._path.remove([path for space in namespaces(self._node.cgroup) if (path := space.path)])

    def _apply_services(self, change: Change) -> Step:
        if change.previous is None or change.repair:
            return self._services.rebuild(change.state.services, remove=True)
        return self._services.change(change.previous.services, change.state.services)

    # Pin again the tables that this process holds open, and attach again what it has loaded.
    def _restore(self) -> tuple[str, ...]:
        lost = self._node.restore_pins()
        hooks = self._sockets.missing()
        if hooks:
            self._sockets.attach(self._node.cgroup)
            # sockets have connected and no hook noted it
            self._node.initiators.doubt()
        return (*lost, *(f"hook {name} was missing" for name in (*hooks, *self._path.lost())))

    def _missing(self) -> tuple[str, ...]:
        hooks = (*self._sockets.missing(), *self._path.missing())
        pins = (f"the pin of table {name}" for name in self._node.loader.unpinned())
        return (*(f"hook {name}" for name in hooks), *pins)

    # Established connections carry the revision that they were judged under.
    def _switch(self, change: Change, pods: Pods) -> Switch:
        switch = self._endpoints.switch(self._deny_refused(change), pods.devices, self._node_addresses)
        if switch.judge_anew:
            self._node.settings.grow("rev")
        self._forget_senders()
        return switch

    # Programs remember whose an address is, until one has left its pod or device.
    def _forget_senders(self) -> None:
        if self._endpoints.moved:
            self._node.settings.grow("places")
            self._endpoints.moved = False

    # If hooks cannot be set at a pod that is under a policy, everything is denied to it, by the programs at its
    # peers and at its sockets.
    def _deny_refused(self, change: Change) -> Change:
        refused = self._path.refused
        denied = {
            ref: replace(endpoint, policy=DENY_ALL)
            for ref, endpoint in change.state.endpoints.items()
            if ref in refused and endpoint.policy != NO_POLICY
        }
        if not denied:
            return change
        return replace(change, state=replace(change.state, endpoints={**change.state.endpoints, **denied}))

    def _raise_refused(self) -> None:
        if fault := self._path.fault:
            raise DriverError(fault)
        if refused := self._path.refused:
            why = [f"{ref.namespace}/{ref.name}, {said}" if ref else said for ref, said in refused.items()]
            until = "everything is denied to pods under a policy until they can"
            raise DriverError(f"hooks cannot be set, {until}: {_few(why)}")

    def _leave(self, pods: Pods) -> None:
        self._path.leave(pods)
        know_namespaces(self._node.table("tw_netns"), pods.devices.values())
        self._hooked = pods.hooked

    # The host's addresses are read when pods come or go, because plugins may add some then (ptp's gateways).
    def _look(self, change: Change, *, check: bool) -> Pods:
        endpoints = change.state.endpoints
        attachments = [endpoint.attachment for endpoint in endpoints.values()]
        moved = check or attachments != self._attachments
        if moved or len(self._found) < len(endpoints):
            self._found = self._devices.find(endpoints, again=check)
        if moved:
            # nobody sends from a Service's address, unless the API reports it as the node's
            served = {each.address for service in change.state.services.values() for each in service.frontends}
            self._node_addresses = (local_addresses() - served) | frozenset(change.state.addresses)
            self._attachments = attachments
        return Pods(endpoints, self._found, check, self._hooked)


def _few(lines: Sequence[str], most: int = 3) -> str:
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more
