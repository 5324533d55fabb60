"""The base of drivers that serve pods by twinway's programs and tables."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from twinway.driver import (
    Change,
    Driver,
    DriverOptions,
    Engine,
    Health,
    Inspection,
    NodeContext,
    Report,
    Requirement,
)
from twinway_bpf.attach import engines, requirements
from twinway_bpf.datapath import Datapath
from twinway_bpf.load.options import KernelOptions
from twinway_bpf.node import NodeKernel
from twinway_bpf.pod_path import PodPath


class KernelDriver(Driver):
    """A subclass has a name and says how pods are served; tables, Services and policy are the same for all."""

    Options: ClassVar[type[DriverOptions]] = KernelOptions

    def __init__(self, context: NodeContext, options: DriverOptions) -> None:
        """Keep what is given; touch nothing."""
        super().__init__(context, options)
        capacities = options.maps if isinstance(options, KernelOptions) else {}
        node = NodeKernel(context, capacities, section=f"drivers.{self.name}.maps")
        self._path = self.pod_path(node)
        self._datapath = Datapath(node, self._path)

    @abstractmethod
    def pod_path(self, node: NodeKernel) -> PodPath:
        """How this driver serves pods."""

    def requirements(self) -> tuple[Requirement, ...]:
        """What every driver needs, and what this way of serving pods does."""
        return requirements.found(self.context, self._path.requirements)

    def engines(self) -> tuple[Engine, ...]:
        """Other engines, by what they leave in the kernel."""
        return engines.engines(self.context.bpffs.parent)

    def start(self) -> None:
        """Load and adopt. Raises Unsupported before anything is touched."""
        requirements.check(self.requirements())
        self._datapath.start()

    def apply(self, change: Change) -> Report:
        """Make the kernel do what the state says; see `Datapath.apply`."""
        return self._datapath.apply(change)

    def catch_up(self) -> float | None:
        """Prepare the policy tables for their next change, and go on with what the path left for later."""
        return self._datapath.catch_up()

    def dump(self) -> Inspection:
        """Frontends, table usage and counters, read back."""
        return self._datapath.dump()

    def usage(self) -> Inspection:
        """Table usage and counters."""
        return self._datapath.usage()

    def health(self) -> Health:
        """Connect through the socket hooks, look for missing hooks, and ask the path how it does."""
        return self._datapath.health()

    def stop(self, *, keep_traffic: bool) -> None:
        """Close all; without `keep_traffic` remove what this way of serving alone needs, but no shared table."""
        try:
            if not keep_traffic:
                self._datapath.remove()
        finally:
            self._datapath.close()

    def retire(self) -> bool:
        """Whether no connection needs this driver any more."""
        return self._path.retire()
