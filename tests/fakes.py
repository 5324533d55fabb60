"""A driver in memory that keeps every rule of `twinway.driver`, for tests of what stands above drivers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from twinway.driver import (
    Change,
    Driver,
    DriverOptions,
    Health,
    Inspection,
    KernelFrontend,
    MapUsage,
    NodeContext,
    Report,
    Requirement,
)
from twinway.model.net import NodeName
from twinway.model.node import Frontend, NodeState, ServiceState

CAPACITY = 1024


class FakeOptions(DriverOptions):
    """Options of the fake: one with a default."""

    depth: int = 1


@dataclass
class Kernel:
    """What outlives the driver's process: the tables, and whether programs are attached."""

    entries: dict[str, object] = field(default_factory=dict)
    attached: bool = False


class FakeDriver(Driver):
    """
    A datapath whose kernel is a dictionary.

    `failures` are raised by the next applies, one each, and `trouble` by catching up, which answers
    `pauses`; `changes` is every change that was given, and `caught_up` tells how often it was asked to.
    """

    name = "fake"
    Options = FakeOptions

    def __init__(self, context: NodeContext, options: DriverOptions, kernel: Kernel | None = None) -> None:
        super().__init__(context, options)
        self.kernel = kernel or Kernel()
        self.changes: list[Change] = []
        self.failures: list[Exception] = []
        self.connections = 0
        self.healthy = True
        self.caught_up = 0
        self.pauses: list[float] = []
        self.trouble: Exception | None = None

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("memory", present=True, required=True, without="buy some"),)

    def start(self) -> None:
        self.kernel.attached = True

    def apply(self, change: Change) -> Report:
        self.changes.append(change)
        if self.failures:
            raise self.failures.pop(0)
        wanted = _entries(change.state)
        writes = {key: value for key, value in wanted.items() if self.kernel.entries.get(key) != value}
        stale = [key for key in self.kernel.entries if key not in wanted] if change.complete else []
        self.kernel.entries.update(writes)
        for key in stale:
            del self.kernel.entries[key]
        repaired = tuple(sorted(writes)) if change.repair and change.state == change.previous else ()
        return Report(written=len(writes), removed=len(stale), repaired=repaired)

    def catch_up(self) -> float | None:
        if self.trouble:
            raise self.trouble
        self.caught_up += 1
        return self.pauses.pop(0) if self.pauses else None

    def dump(self) -> Inspection:
        services = (entry for entry in self.kernel.entries.values() if isinstance(entry, ServiceState))
        return Inspection(
            frontends=tuple(_read_back(frontend) for service in services for frontend in service.frontends),
            maps=(MapUsage("fake_state", len(self.kernel.entries), CAPACITY, 0),),
            counters={"forwarded": 7},
        )

    def health(self) -> Health:
        return Health(self.healthy and self.kernel.attached, "in memory")

    def retire(self) -> bool:
        return self.connections == 0

    def stop(self, *, keep_traffic: bool) -> None:
        if not keep_traffic:
            self.kernel.attached = False
            self.kernel.entries.clear()


def fake_context(folder: Path) -> NodeContext:
    """A node whose every path is in `folder`."""
    return NodeContext(node=NodeName("n1"), bpffs=folder, cgroup_root=folder, cache=folder, uplinks=())


def _entries(state: NodeState) -> dict[str, object]:
    found: dict[str, object] = {str(ref): service for ref, service in state.services.items()}
    found.update({str(ref): endpoint for ref, endpoint in state.endpoints.items()})
    return found


def _read_back(frontend: Frontend) -> KernelFrontend:
    backends = tuple((backend.address, backend.port) for backend in frontend.backends.backends)
    return KernelFrontend(frontend.address, frontend.port, frontend.protocol, frontend.scope, backends)
