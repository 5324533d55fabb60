"""The packet path as a driver: Services and policy at the tc hooks of pods' devices."""

from __future__ import annotations

from twinway.driver import (
    Change,
    Driver,
    DriverOptions,
    Health,
    Inspection,
    NodeContext,
    Report,
    Requirement,
)
from twinway_bpf.attach import requirements
from twinway_bpf.connections.users import peers_of_pods
from twinway_bpf.datapath import Datapath
from twinway_bpf.load.options import KernelOptions


class TcDriver(Driver):
    """Pods are served on their packets, the host's own clients at their sockets."""

    name = "tc"
    Options = KernelOptions

    def __init__(self, context: NodeContext, options: DriverOptions) -> None:
        """Keep what is given; touch nothing."""
        super().__init__(context, options)
        capacities = options.maps if isinstance(options, KernelOptions) else {}
        self._datapath = Datapath(
            context, at_socket=False, capacities=capacities, section=f"drivers.{self.name}.maps"
        )

    def requirements(self) -> tuple[Requirement, ...]:
        """What the packet path needs: tc programs that can redirect, and the socket hooks for the host."""
        return (*requirements.common(self.context), *requirements.packet_path())

    def start(self) -> None:
        """Load and adopt. Raises Unsupported before anything is touched."""
        requirements.check(self.requirements())
        self._datapath.start()

    def apply(self, change: Change) -> Report:
        """Tables, then hooks, then Services; see `Datapath`."""
        return self._datapath.apply(change)

    def catch_up(self) -> float | None:
        """Have the policy tables ready for their next change."""
        return self._datapath.catch_up()

    def dump(self) -> Inspection:
        """Read back from the kernel."""
        return self._datapath.dump()

    def usage(self) -> Inspection:
        """How full the tables are, and the counters."""
        return self._datapath.usage()

    def health(self) -> Health:
        """A connect through the socket hooks, and every packet hook in place."""
        return self._datapath.health()

    def stop(self, *, keep_traffic: bool) -> None:
        """Let go, or take the packet hooks away (the tables belong to whoever is in charge next)."""
        self._datapath.close()
        if not keep_traffic:
            self._datapath.remove()

    def retire(self) -> bool:
        """
        Whether no pod's socket believes to be connected to a Service any more.

        Such sockets were translated on their packets, and are until they end. New ones are not:
        they were given a backend when they connected.
        """
        served = self._datapath.service_addresses()
        return not any(peer in served for peer in peers_of_pods(self.context.cgroup_root))
