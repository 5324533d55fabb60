"""
Policy at the node's sockets: the programs that look at their packets, and when they are attached.

    no policy ──▶ watched ◀──▶ idle

Watched: programs at the cgroup judge established connections by their sockets (kernel/skb.c). Idle: every
connection is known to be allowed, so these programs are detached (see `idle`). Programs at pods' devices judge
new connections in either condition (kernel/guard.c).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from twinway.driver import Change
from twinway.model.net import ObjectRef
from twinway.model.node import NO_POLICY, Endpoint
from twinway_bpf.attach.cgroup import CgroupHooks
from twinway_bpf.attach.hooks import PacketHooks
from twinway_bpf.load import programs
from twinway_bpf.node import NodeKernel
from twinway_bpf.tables import clock
from twinway_bpf.tables.endpoints import Devices
from twinway_sockops.idle import AGAIN_SECONDS, until_allowed, until_answered
from twinway_sockops.judgement import Judgement
from twinway_sockops.placement import GUARD_SELF

CALM_SECONDS = 5.0
"""From a change of policy until open connections are judged for idleness, by default."""

Endpoints = Mapping[ObjectRef, Endpoint]

logger = logging.getLogger(__name__)


class Condition(StrEnum):
    """What is done with sockets' packets, in words for people."""

    UNKNOWN = "as an earlier process left it"
    UNSEEN = "there is none"
    WATCHED = "watched at sockets"
    IDLE = "idle"


class SocketPolicy:
    """The programs at the node's cgroup and at pods' loopbacks, and what they must know."""

    def __init__(self, node: NodeKernel, guard: PacketHooks, *, calm: float) -> None:
        """Attach nothing yet. `guard`: the hooks at pods' devices; `calm`: seconds, see `CALM_SECONDS`."""
        self._node = node
        self._guard = guard
        self._calm = calm
        self._hooks = CgroupHooks("policy", programs.SOCKET_POLICY, node.loader, node.pins)
        self._loopback = PacketHooks(GUARD_SELF, node.loader, node.pins, node.context)
        self._steps: Iterator[float] | None = None
        self._due = 0.0
        self.condition = Condition.UNKNOWN

    def load(self) -> None:
        """Load what may be attached later, when there is no time to load it. Raises LoadError."""
        self._hooks.load()
        self._loopback.load()

    def reload(self) -> None:
        """Replace the programs that an earlier process attached by those that were loaded now."""
        self._hooks.reload()
        self._loopback.reload()

    def before(self, change: Change, hooked: Endpoints, *, again: bool) -> None:
        """
        Watch sockets, unless the switch cannot change a verdict of `hooked`, the pods under a policy.

        `again`: attach programs that were attached before, too.
        """
        if hooked and not (self.condition == Condition.IDLE and _leaves_policy(change, hooked)):
            self._watch(change, again=again)

    def after(self, change: Change, hooked: Endpoints, devices: Devices, *, anew: bool) -> None:
        """Begin the way to idle. `anew`: the policy in force may not have judged all open connections yet."""
        if not hooked:
            return
        if self.condition == Condition.IDLE and change.repair:
            anew |= bool(self._loopback.attach(hooked, devices, check=True))
        if anew:
            self._watch(change, again=False)
        if anew or (self.condition != Condition.IDLE and self._steps is None):
            there = {ref: endpoint for ref, endpoint in hooked.items() if ref in devices}
            self._steps = self._to_idle(there, dict(devices), since=clock.now())
            self._due = time.monotonic() + self._calm

    def step(self) -> float | None:
        """Take the next step to idle, if it is due; seconds until the one after it, None if there is none."""
        now = time.monotonic()
        if self._steps is None or now < self._due:
            return None if self._steps is None else self._due - now
        pause = next(self._steps, None)
        if pause is None:
            self._steps = None
        else:
            self._due = now + pause
        return pause

    def missing(self) -> tuple[str, ...]:
        """Hooks whose program is not attached, as the kernel reports now."""
        return (*self._hooks.missing(), *self._loopback.missing())

    def leave(self, hooked: Endpoints, devices: Devices) -> None:
        """Detach what `hooked`, which are all the pods under a policy, do not need."""
        if hooked:
            self._loopback.detach_stale(hooked, devices)
        elif self.condition != Condition.UNSEEN:
            self._loopback.detach_stale({}, {})
            self._end()

    def remove(self, namespaces: Iterable[str]) -> None:
        """Detach everything; `namespaces`: paths of those that pods are in."""
        self._loopback.detach_all(namespaces)
        self._end()

    def close(self) -> None:
        """Close the loaded programs; attached ones stay."""
        self._hooks.close()
        self._loopback.close()

    # The initiators of pre-existing connections must be known before a program asks for a verdict.
    def _watch(self, change: Change, *, again: bool) -> None:
        self.condition = Condition.WATCHED
        self._node.initiators.note(endpoint.attachment for endpoint in change.state.endpoints.values())
        self._hooks.attach(self._node.cgroup, again=again)

    def _end(self) -> None:
        self._hooks.detach()
        self._node.initiators.forget()
        self._steps = None
        self.condition = Condition.UNSEEN

    def _to_idle(self, hooked: Endpoints, devices: Devices, *, since: int) -> Iterator[float]:
        for ref, endpoint in hooked.items():
            self._loopback.attach({ref: endpoint}, devices, check=False)
            yield 0.0
        if not all(hooks.all_attached(hooked, devices) for hooks in (self._guard, self._loopback)):
            return  # logged when it failed; the apply that repairs it begins again
        yield from self._until_noted(hooked)
        yield from until_answered(self._node.notices, since)
        yield from until_allowed(
            [endpoint.attachment for endpoint in hooked.values()], self._node.initiators, self._judgement
        )
        self._hooks.detach()
        self.condition = Condition.IDLE
        logger.info("policy at sockets is idle: every open connection is allowed")

    # What was judged before all initiators were known took pre-existing connections for accepted ones.
    def _until_noted(self, hooked: Endpoints) -> Iterator[float]:
        late = False
        while not self._node.initiators.note(endpoint.attachment for endpoint in hooked.values()):
            late = True
            yield AGAIN_SECONDS
        if late:
            self._node.settings.grow("rev")

    def _judgement(self) -> Judgement:
        return Judgement(*(self._node.table(name) for name in ("tw_ep", "tw_class", "tw_verdict")))


# Pods under no policy may come and go: their connections are judged at the pods that receive them.
def _leaves_policy(change: Change, hooked: Endpoints) -> bool:
    state, previous = change.state, change.previous
    if previous is None:
        return False
    before = {ref: endpoint for ref, endpoint in previous.endpoints.items() if endpoint.policy != NO_POLICY}
    return (state.policy.sets, state.policy.classes, hooked) == (
        previous.policy.sets,
        previous.policy.classes,
        before,
    )
