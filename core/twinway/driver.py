"""
The driver protocol, version 1: all that a datapath must do, on one page.

A driver makes the kernel do what a `NodeState` says. It is a class, registered under the entry
point group `twinway.drivers`, built once per agent, and used from one thread:

    requirements → start → apply, apply, … → stop

* `apply` is given the whole state every time and is idempotent: the same state again writes
  nothing. It must tolerate any state after any other, a first state on top of what an earlier
  process left in the kernel, and being called again after it raised.
* Until `Change.complete` is true nothing may be removed: the state may still lack objects.
* Make before break: no packet may meet a half of the old and a half of the new state in a way
  that neither allows.
* On failure raise a `DriverError`; the last good state stays in force in the kernel, and the
  agent calls again, with the newest state, after a pause.
* An agent that is killed says nothing: whatever must survive is in the kernel, and `start`
  recognises it as its own without any memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from twinway.model.net import IPAddress, NodeName, Protocol
from twinway.model.node import NodeState, RuleId
from twinway.model.policy import Direction

PROTOCOL_VERSION = 1
ENTRY_POINTS = "twinway.drivers"
TC_PRIORITY = 25000
"""Between Terway's vlan pop (20000) and its redirects (40000); never 4000, which Terway deletes."""


class DriverOptions(BaseModel):
    """A driver's own section of the node config; subclass it to have options."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class NodeContext:
    """What a driver may know of its node beside the state. Paths exist when `start` is called."""

    node: NodeName
    bpffs: Path
    """A directory on a BPF file system that is this agent's alone."""
    cgroup_root: Path
    """The cgroup v2 directory below which all of this node's sockets live."""
    cache: Path
    """For what can be made again: compiled programs."""
    uplinks: tuple[str, ...]
    """Names of the devices that lead out of the node; empty: find them by the default routes."""
    tc_priority: int = TC_PRIORITY
    """Priority of tc filters among those of others on a device, on kernels without tcx; lower runs first."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing of the kernel or node that a driver needs or can use."""

    feature: str
    present: bool
    required: bool
    without: str
    """Required: what to change to get it. Else: what the driver does instead."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Another program that serves Services or judges pods' packets on this node."""

    name: str
    evidence: tuple[str, ...]
    """What it left in the kernel, for instance `chain KUBE-SERVICES`."""
    advice: str
    """How the two go together, or what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step: the whole state, and the one that the last successful `apply` of a complete state was given."""

    state: NodeState
    previous: NodeState | None
    complete: bool = True
    """Whether the state holds every object of the cluster; while false, nothing may be removed."""
    repair: bool = False
    """Read the kernel back and compare with it, not with `previous`."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one `apply` did: kernel writes, and what it put right in a repair."""

    written: int = 0
    removed: int = 0
    repaired: tuple[str, ...] = ()
    """One line for each thing that was found changed behind the driver's back."""


@dataclass(frozen=True, slots=True)
class MapUsage:
    """How full one kernel table is."""

    name: str
    entries: int
    capacity: int
    memory: int
    """Bytes of kernel memory, 0 where the kernel does not report it."""


@dataclass(frozen=True, slots=True)
class KernelFrontend:
    """A frontend as the kernel has it, read back: who it is and where it leads."""

    address: IPAddress
    port: int
    protocol: Protocol
    scope: int
    backends: tuple[tuple[IPAddress, int], ...]


@dataclass(frozen=True, slots=True)
class Denial:
    """What one rule has denied to one pod: packets, and sockets' packets, as often as they came."""

    rule: RuleId
    """0: no rule, the pod's policy set had no answer (a pod that no source knows has such a set)."""
    pod: IPAddress
    """The pod that is under the rule, not its peer."""
    direction: Direction
    count: int


@dataclass(frozen=True, slots=True)
class Flow:
    """One packet's or connection's fate, as the datapath saw it."""

    reason: str
    source: IPAddress
    source_port: int
    destination: IPAddress
    destination_port: int
    protocol: int
    rule: RuleId | None


@dataclass(frozen=True, slots=True)
class Health:
    """A live probe's answer: `ok` means that traffic went through the hooks just now."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the kernel holds right now, read back: for people, and for repair."""

    frontends: tuple[KernelFrontend, ...] = ()
    maps: tuple[MapUsage, ...] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    """Packets and socket calls by verdict reason, since the tables were made."""
    denials: tuple[Denial, ...] = ()
    """What policy denied, since the tables were made; a driver that does not know leaves it empty."""


class Driver(ABC):
    """A datapath. See the module's docstring for the rules."""

    PROTOCOL: ClassVar[int] = PROTOCOL_VERSION
    name: ClassVar[str]
    Options: ClassVar[type[DriverOptions]] = DriverOptions

    def __init__(self, context: NodeContext, options: DriverOptions) -> None:
        """Keep what is given; touch nothing."""
        self.context = context
        self.options = options

    @abstractmethod
    def requirements(self) -> tuple[Requirement, ...]:
        """What this driver needs and uses, probed on this node; changes nothing. Callable before `start`."""

    def engines(self) -> tuple[Engine, ...]:
        """Other engines on this node, for `twinway check`; a driver that does not look finds none."""
        return ()

    @abstractmethod
    def start(self) -> None:
        """
        Load programs, open or make tables, adopt what an earlier process left. Safe to repeat.

        Raises `Unsupported` where a must-have is missing, having left nothing behind.
        """

    @abstractmethod
    def apply(self, change: Change) -> Report:
        """Make the kernel do what `change.state` says."""

    def catch_up(self) -> float | None:
        """
        Do, in a few milliseconds, what can wait for a calm moment; change nothing that a packet could notice.

        Called when no change came for a moment after an `apply` that succeeded, and again after as many
        seconds as it returns, unless another `apply` comes before; None: no more. Raises as `apply` does.
        """
        return None

    @abstractmethod
    def dump(self) -> Inspection:
        """Read back what the kernel holds."""

    def usage(self) -> Inspection:
        """
        How full the tables are, and the counters: `dump` without frontends.

        Asked at every scrape of the metrics, between two applies: override it where `dump` takes long.
        """
        return self.dump()

    @abstractmethod
    def health(self) -> Health:
        """Probe the hooks with real traffic; never just "the link exists"."""

    @abstractmethod
    def stop(self, *, keep_traffic: bool) -> None:
        """
        Let go. With `keep_traffic` the kernel goes on as it is, for a successor to adopt;
        without, every trace is removed. Safe to repeat, also without `start`.
        """

    def retire(self) -> bool:
        """
        Serve only what is already under way: another driver serves what is new.

        Called, after `start` and each `apply`, on a driver that was in charge before, until it
        answers True: no connection needs it any more, and `stop(keep_traffic=False)` follows.
        """
        return True

    def flows(self) -> Iterator[Flow]:
        """The live stream of verdicts; ends when the driver is stopped."""
        return iter(())
