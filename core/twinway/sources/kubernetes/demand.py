"""
Whether pods of other nodes are needed: as soon as a policy asks which pods a selector or a named port means.

Until then their pods are not read. A policy that asks comes into force together with them.
"""

from __future__ import annotations

from collections.abc import Iterable

from twinway.model.policy import ClusterPolicy, ClusterRule, NetworkPolicy, PodPeer, Rule
from twinway.sources.decode.registry import Value
from twinway.sources.kubernetes.discovery import Fixed
from twinway.sources.kubernetes.resources import Resource
from twinway.sources.kubernetes.waiting import Waiting


class Demand(Fixed, Waiting):
    """The `Place` of a kind that is read from the moment when somebody wants it."""

    def __init__(self, resource: Resource) -> None:
        """Nobody wants it yet."""
        Fixed.__init__(self, resource)
        Waiting.__init__(self)
        self._wanted = False

    def want(self) -> None:
        """Read the kind from now on."""
        with self._condition:
            self._wanted = True
            self._condition.notify_all()

    def arrive(self) -> None:
        """Return once the kind is wanted; raises `Stopped`."""
        with self._condition:
            self._wait(lambda: self._wanted)


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
