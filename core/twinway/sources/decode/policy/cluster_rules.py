"""
Rules of cluster-wide policies.

A bad part makes the whole rule fail closed. The API says what that means of a peer that is not
known, and here it holds for every part that cannot be read:

* an Accept rule matches nothing;
* a Deny or Pass rule denies everything, and so does a rule whose action is not known.

Rules beyond the limit count as bad ones. A list of rules that is no list counts as one bad rule.

Source: ClusterNetworkPolicyIngressPeer in apis/v1beta1 of sigs.k8s.io/network-policy-api.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any, TypeVar

from pydantic import Field

from twinway.model.policy import Block, ClusterAction, ClusterRule, Peer, PodPeer, PortRange
from twinway.sources.decode.fields import ClosedSchema, shown
from twinway.sources.decode.policy import peers as policy_peers
from twinway.sources.decode.policy.parts import Reading

NAME_LIMIT = 100
"""Characters in a rule's name."""

_EVERYONE: tuple[Peer, ...] = (Block(ip_network("0.0.0.0/0"), ()), Block(ip_network("::/0"), ()))

DENY_EVERYONE = ClusterRule("", ClusterAction.DENY, _EVERYONE, ports=None)
"""What a rule that cannot be read comes to, unless it accepts."""

T = TypeVar("T")
Part = Callable[[object, str, Reading], T | None]
"""Reads one entry of a list, which stands at a place; None where it is bad."""


class _Rule(ClosedSchema):
    # Only the names of the fields are checked here: each part is read by itself.
    name: Any = None
    action: Any = None
    peers: Any = None
    ports: Any = None


class _IngressRule(_Rule):
    peers: Any = Field(None, alias="from")
    ports: Any = Field(None, alias="protocols")


class _EgressRule(_Rule):
    peers: Any = Field(None, alias="to")
    ports: Any = Field(None, alias="protocols")


class _OldIngressRule(_Rule):
    peers: Any = Field(None, alias="from")


class _OldEgressRule(_Rule):
    peers: Any = Field(None, alias="to")


@dataclass(frozen=True, slots=True)
class Side:
    """How rules of one direction are spelled."""

    schema: type[_Rule]
    peer: Part[tuple[Peer, ...]]
    port: Part[PortRange]

    def place(self, part: str, at: str) -> str:
        """Where `peers` or `ports` of the rule at `at` stand, as the API spells it."""
        return f"{at}.{self.schema.model_fields[part].alias}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of policy is spelled; `limit` holds for rules, peers of a rule and ports of a rule."""

    actions: Mapping[str, ClusterAction]
    limit: int
    ingress: Side
    egress: Side


_ACCEPT, _DENY, _PASS = ClusterAction.ACCEPT, ClusterAction.DENY, ClusterAction.PASS
_OLD_SIDES = (
    Side(_OldIngressRule, policy_peers.ingress_peers, policy_peers.ports),
    Side(_OldEgressRule, policy_peers.egress_peers, policy_peers.ports),
)
DIALECTS: Mapping[str, Dialect] = {
    "ClusterNetworkPolicy": Dialect(
        {"Accept": _ACCEPT, "Deny": _DENY, "Pass": _PASS},
        25,
        Side(_IngressRule, policy_peers.ingress_peers, policy_peers.protocols),
        Side(_EgressRule, policy_peers.egress_peers, policy_peers.protocols),
    ),
    "AdminNetworkPolicy": Dialect({"Allow": _ACCEPT, "Deny": _DENY, "Pass": _PASS}, 100, *_OLD_SIDES),
    "BaselineAdminNetworkPolicy": Dialect({"Allow": _ACCEPT, "Deny": _DENY}, 100, *_OLD_SIDES),
}
"""The dialect of each kind."""


def rules(document: object, field: str, dialect: Dialect, reading: Reading) -> tuple[ClusterRule, ...]:
    """The rules of `spec.ingress` or `spec.egress`, in order; bad ones keep their place, failing closed."""
    at = f"spec.{field}"
    documents = reading.items(document, at)
    if documents is None:
        return (_closed("", _DENY),)
    kept, excess = documents[: dialect.limit], documents[dialect.limit :]
    found = [_rule(each, f"{at}[{index}]", dialect, reading) for index, each in enumerate(kept)]
    if excess:
        reading.refuse(at, f"has {len(documents)} rules, {dialect.limit} at most are used; the others fail closed")
        accept = all(_action(each, dialect) is _ACCEPT for each in excess)
        found.append(_closed("", _ACCEPT if accept else _DENY))
    return tuple(found)


def _closed(name: str, action: ClusterAction) -> ClusterRule:
    if action is _ACCEPT:
        return ClusterRule(name, _ACCEPT, peers=(), ports=None)
    return replace(DENY_EVERYONE, name=name)


def _action(document: object, dialect: Dialect) -> ClusterAction | None:
    action = document.get("action") if isinstance(document, Mapping) else None
    return dialect.actions.get(action) if isinstance(action, str) else None


def _rule(document: object, at: str, dialect: Dialect, reading: Reading) -> ClusterRule:
    side = dialect.ingress if at.startswith("spec.ingress") else dialect.egress
    before = len(reading.rejected)
    rule = reading.read(side.schema, document, at)
    action = _action(document, dialect)
    if rule is None:
        return _closed("", action or _DENY)
    if action is None:
        reading.refuse(f"{at}.action", f"must be {' or '.join(dialect.actions)}, not {shown(rule.action)}")
    peers = _entries(rule.peers, side.place("peers", at), dialect.limit, side.peer, reading)
    ports = None
    if rule.ports is not None:
        ports = _entries(rule.ports, side.place("ports", at), dialect.limit, side.port, reading)
    found = tuple(peer for each in peers for peer in each)
    _check_names(found, ports or (), side.place("ports", at), reading)
    good = len(reading.rejected) == before
    name = _name(rule.name, at, reading)
    return ClusterRule(name, action, found, ports) if good and action else _closed(name, action or _DENY)


def _entries(document: object, at: str, limit: int, part: Part[T], reading: Reading) -> tuple[T, ...]:
    documents = reading.items(document, at)
    if documents is not None and not 1 <= len(documents) <= limit:
        reading.refuse(at, f"must have 1 to {limit} entries, not {len(documents)}")
        return ()
    found = [part(each, f"{at}[{index}]", reading) for index, each in enumerate(documents or ())]
    return tuple(each for each in found if each is not None)


def _check_names(peers: tuple[Peer, ...], ports: tuple[PortRange, ...], at: str, reading: Reading) -> None:
    # Source: the validation of ClusterNetworkPolicyEgressRule.
    named = any(port.name for port in ports)
    if named and not all(isinstance(peer, PodPeer) for peer in peers):
        reading.refuse(at, "must not name a port: networks and nodes have no named ports")


def _name(name: object, at: str, reading: Reading) -> str:
    # A name is for people alone: a bad one changes nothing about the rule.
    if isinstance(name, str) and len(name) <= NAME_LIMIT:
        return name
    if name is not None:
        reading.refuse(f"{at}.name", f"must be a string of {NAME_LIMIT} characters at most, not {shown(name)}")
    return ""
