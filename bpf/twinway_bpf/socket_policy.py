"""Policy at the node's sockets: its programs stand from the node's first policy to its last."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from twinway.model.node import Attachment
from twinway_bpf import programs
from twinway_bpf.loader import Loader
from twinway_bpf.pins import Pins
from twinway_bpf.sides import forget_sides, note_sides
from twinway_bpf.sockets import CgroupHooks


class SocketPolicy:
    """What looks at sockets' packets, and what it has to know of connections that are older."""

    def __init__(self, cgroup: Path, loader: Loader, pins: Pins) -> None:
        """`cgroup` is the node's. Nothing happens before `begin` or `end`."""
        self._cgroup = cgroup
        self._loader = loader
        self._hooks = CgroupHooks("policy", programs.SOCKET_POLICY, loader, pins)
        self._over = False

    def begin(self, pods: Iterable[Attachment], *, again: bool) -> None:
        """
        Put the programs in place; `again`: also if this was done before.

        From here on they see who opens a connection. Who opened older ones of `pods` is found out
        before a verdict asks for it: also where an earlier process may not have come so far.
        """
        self._over = False
        if self._hooks.attach(self._cgroup, again=again):
            note_sides(self._loader.map("tw_side"), pods, kept=self._loader.map("tw_skpol").descriptor)

    def end(self) -> None:
        """Take the programs away, where any are: sockets' packets pass unseen then."""
        if self._over:
            return
        self._hooks.detach()
        self._loader.open_maps("skb.c")
        forget_sides(self._loader.map("tw_side"))
        self._over = True
