"""The kernel side of a node that every driver shares: pins, loaded programs, and the tables that they read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from twinway.driver import NodeContext
from twinway.errors import DriverError
from twinway.model.net import IPAddress
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.load import programs
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.maps import Map
from twinway_bpf.load.pins import Pins
from twinway_bpf.tables import readback
from twinway_bpf.tables.settings import Notices, Settings


class NodeKernel:
    """Opens what is shared when it is first asked for; nothing happens before."""

    def __init__(self, context: NodeContext, capacities: Mapping[str, int], section: str = "maps") -> None:
        """`capacities`: entries by a table's short name; `section`: where the node config has them."""
        self.context = context
        self.pins = Pins(context.bpffs)
        self.loader = Loader(self.pins, context.cache / "bundles", capacities, section)

    @property
    def cgroup(self) -> Path:
        """The cgroup below which all of the node's sockets live."""
        return self.context.cgroup_root

    def open_tables(self) -> None:
        """Open or make every table, whichever driver's programs use it: a later driver adopts what it holds."""
        for source in programs.SOURCES:
            self.loader.open_maps(source)

    def close(self) -> None:
        """Close every table; what is pinned stays."""
        self.loader.close()

    def table(self, name: str) -> Map:
        """An open table by its name without the layout's version."""
        return self.loader.map(name)

    @cached_property
    def settings(self) -> Settings:
        """What the agent tells the programs."""
        self.loader.open_maps("sock.c")
        return Settings(self.table("tw_cfg"))

    @cached_property
    def notices(self) -> Notices:
        """What the programs tell the agent."""
        self.loader.open_maps("sock.c")
        return Notices(self.table("tw_notes"))

    @cached_property
    def initiators(self) -> Initiators:
        """Which of the pods' sockets connected."""
        self.loader.open_maps("skb.c")
        return Initiators(self.settings, self.table("tw_initiator"), self.table("tw_sk"))

    def service_addresses(self) -> frozenset[IPAddress]:
        """Addresses that Services have, as the kernel holds them."""
        self.loader.open_maps("sock.c")
        return readback.service_addresses(self.table("tw_fe"))

    def restore_pins(self) -> tuple[str, ...]:
        """Pin again what this process holds open and lost its pin; a line for each table."""
        if fault := self.pins.fault():
            raise DriverError(fault)
        return tuple(f"the pin of table {name} was missing" for name in self.loader.keep())
