"""The socket path: Services when a socket connects or sends, policy at sockets and at the guard."""

from __future__ import annotations

from collections.abc import Iterable

from twinway.driver import Change, Health, Requirement
from twinway_bpf.connections.users import Namespace, namespaces
from twinway_bpf.node import NodeKernel
from twinway_bpf.pod_path import PodPath, Pods
from twinway_bpf.tables.endpoints import Switch
from twinway_bpf.tables.layout import CfgFlag
from twinway_sockops.placement import GUARD
from twinway_sockops.policy import CALM_SECONDS, SocketPolicy
from twinway_sockops.requirements import socket_path


class SocketPath(PodPath):
    """Pods are served at their sockets, as the host is; the guard judges at devices of pods under a policy."""

    def __init__(self, node: NodeKernel, *, calm: float = CALM_SECONDS) -> None:
        """Attach nothing yet. `calm`: seconds, see `CALM_SECONDS`."""
        super().__init__(node, GUARD)
        self._policy = SocketPolicy(node, self.hooks, calm=calm)
        self._placed: tuple[str, ...] = ()

    def requirements(self) -> tuple[Requirement, ...]:
        """Storage and look-up of sockets, and tc for the guard."""
        return socket_path()

    def load(self) -> None:
        """Load the guard, and what policy at sockets may attach later."""
        super().load()
        self._policy.load()

    def reload(self) -> None:
        """Replace the programs of an earlier process."""
        super().reload()
        self._policy.reload()

    def socket_clients(self) -> tuple[Namespace, ...]:
        """The host and every pod."""
        return namespaces(self.node.cgroup)

    def before_switch(self, change: Change, pods: Pods) -> tuple[str, ...]:
        """
        Watch sockets, and attach the guard at pods that come under a policy: it must be there to enforce it.

        Pods whose policy ends keep what they carry, since they have not switched yet.
        """
        hooked = pods.under_policy
        self._policy.before(change, hooked, again=pods.check)
        self._placed = ()
        if not pods.moved:
            return ()
        self._placed = self.hooks.attach(hooked, pods.devices, check=pods.check)
        free = self.hooks.attach(pods.under_none, pods.devices, check=pods.check, weaken=False)
        return self._placed + free

    def after_switch(self, change: Change, pods: Pods, switch: Switch) -> tuple[str, ...]:
        """Begin the way to idle, after which sockets' packets pass unseen."""
        # what began while a hook was missing has not been judged
        anew = switch.judge_anew or pods.moved_under_policy or bool(self._placed)
        self._policy.after(change, pods.under_policy, pods.devices, anew=anew)
        return ()

    def take_charge(self) -> None:
        """Socket hooks serve pods, too."""
        self.node.settings.flag(CfgFlag.PODS_AT_SOCKET, on=True)

    def leave(self, pods: Pods) -> None:
        """Detach the guard where it is not needed; what looks at sockets goes last."""
        self.hooks.attach(pods.endpoints, pods.devices, check=False)
        super().leave(pods)
        self._policy.leave(pods.under_policy, pods.devices)

    def catch_up(self) -> float | None:
        """Take the next step to idle."""
        return self._policy.step()

    def lost(self) -> tuple[str, ...]:
        """Hooks at the cgroup and at loopbacks."""
        return self._policy.missing()

    def missing(self) -> tuple[str, ...]:
        """Of the guard, and of policy at sockets."""
        return (*super().missing(), *self._policy.missing())

    def health(self) -> Health:
        """What policy does at sockets."""
        return Health(ok=True, detail=f"policy: {self._policy.condition}")

    def retire(self) -> bool:
        """
        Whether nothing needs to stay for it alone: always.

        Sockets that were given a backend reach it without help, and the hooks that name their
        Service again are those that every driver keeps for the host's clients.
        """
        return True

    def remove(self, spaces: Iterable[str]) -> None:
        """Detach the guard and all that looks at sockets' packets."""
        spaces = tuple(spaces)
        super().remove(spaces)
        self._policy.remove(spaces)

    def close(self) -> None:
        """Close the loaded programs; attached ones stay."""
        super().close()
        self._policy.close()
