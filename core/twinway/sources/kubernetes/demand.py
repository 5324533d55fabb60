"""
Whether pods of other nodes are needed: as soon as a policy asks which pods a selector or a named port means.

Until then their pods are not read. A policy that asks comes into force together with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Condition

from twinway.model.policy import ClusterPolicy, ClusterRule, NetworkPolicy, PodPeer, Rule
from twinway.sources.decode.registry import Value
from twinway.sources.kubernetes.connection import Session, Stopped
from twinway.sources.kubernetes.resources import Resource, path_of


class Demand:
    """The `Place` of a kind that is read from the moment when somebody wants it."""

    def __init__(self, resource: Resource) -> None:
        """Nobody wants it yet."""
        self._path = path_of(resource.versions[0], resource.plural)
        self._condition = Condition()
        self._wanted = False
        self._stopped = False

    def want(self) -> None:
        """Read the kind from now on."""
        with self._condition:
            self._wanted = True
            self._condition.notify_all()

    def stop(self) -> None:
        """Have whoever waits raise `Stopped`."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def arrive(self) -> None:
        """Return once the kind is wanted; raises `Stopped`."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopped or self._wanted)
            if self._stopped:
                raise Stopped

    def path(self, _session: Session) -> str:
        """The same path at every server."""
        return self._path

    def forget(self) -> None:
        """The server is not ready yet: the path stays."""


def asks_for_pods(value: Value | None) -> bool:
    """Whether this is a policy whose meaning depends on pods of other nodes."""
    if not isinstance(value, NetworkPolicy | ClusterPolicy):
        return False
    return _any_asks(value.ingress or ()) or _any_asks(value.egress or ())


def _any_asks(rules: Iterable[Rule | ClusterRule]) -> bool:
    return any(
        any(isinstance(peer, PodPeer) for peer in rule.peers or ()) or any(port.name for port in rule.ports or ())
        for rule in rules
    )
