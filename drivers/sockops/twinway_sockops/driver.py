"""The socket path as a driver: Services when a socket connects or sends, with no connection table."""

from __future__ import annotations

from pydantic import Field

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
from twinway_bpf.datapath import Datapath
from twinway_bpf.load.options import KernelOptions
from twinway_bpf.socket_policy import CALM_SECONDS


class SockopsOptions(KernelOptions):
    """`rest_after`: when policy has not changed for so long, its programs may leave the sockets."""

    rest_after: float = Field(
        default=CALM_SECONDS,
        ge=0.0,
        le=86400.0,
        description="Seconds without a change of policy after which packets of connections that are all allowed "
        "pass unseen at their sockets.",
    )


class SockopsDriver(Driver):
    """Pods and the host are served at their sockets."""

    name = "sockops"
    Options = SockopsOptions

    def __init__(self, context: NodeContext, options: DriverOptions) -> None:
        """Keep what is given; touch nothing."""
        super().__init__(context, options)
        chosen = options if isinstance(options, SockopsOptions) else SockopsOptions()
        self._datapath = Datapath(
            context,
            at_socket=True,
            capacities=chosen.maps,
            calm=chosen.rest_after,
            section=f"drivers.{self.name}.maps",
        )

    def requirements(self) -> tuple[Requirement, ...]:
        """What the socket path needs: socket hooks, storage on sockets, and tc for its guard."""
        return (*requirements.common(self.context), *requirements.socket_path())

    def start(self) -> None:
        """Load and adopt. Raises Unsupported before anything is touched."""
        requirements.check(self.requirements())
        self._datapath.start()

    def apply(self, change: Change) -> Report:
        """Tables, then Services; see `Datapath`."""
        return self._datapath.apply(change)

    def catch_up(self) -> float | None:
        """Have the policy tables ready for their next change, and let sockets alone that need no watching."""
        return self._datapath.catch_up()

    def dump(self) -> Inspection:
        """Read back from the kernel."""
        return self._datapath.dump()

    def usage(self) -> Inspection:
        """How full the tables are, and the counters."""
        return self._datapath.usage()

    def health(self) -> Health:
        """A connect through the socket hooks."""
        return self._datapath.health()

    def stop(self, *, keep_traffic: bool) -> None:
        """Let go, or take policy away from sockets and their guard from devices."""
        self._datapath.close()
        if not keep_traffic:
            self._datapath.remove()

    def retire(self) -> bool:
        """
        True: nothing needs to stay for it alone.

        Sockets that were given a backend reach it without help, and the hooks that name their
        Service again are those that every driver keeps for the host's clients.
        """
        return True
