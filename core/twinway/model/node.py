"""What one node should do: the value that compute makes and drivers carry out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import NewType

from twinway.model.net import IPAddress, IPNetwork, NodeName, NotServed, ObjectRef, Protocol, Rejected
from twinway.model.policy import ClusterPolicy, Direction, NetworkPolicy

# Ids are 64 bits, derived from content: equal content has equal ids after a restart and on every
# node. 0 is never an id. `compute.ids` makes them and detects collisions.
BackendId = NewType("BackendId", int)
BackendSetId = NewType("BackendSetId", int)
PolicySetId = NewType("PolicySetId", int)
ClassId = NewType("ClassId", int)
RuleId = NewType("RuleId", int)

NO_POLICY = PolicySetId(0)
DENY_ALL = PolicySetId(1)
"""The set without entries, so everything is denied: for a pod that no source knows, yet or any more."""
NO_CLASS = ClassId(0)


@dataclass(frozen=True, slots=True)
class Backend:
    """
    One address and port that answers for one port of a Service.

    Id: of (Service, its port, address, port, protocol), so that a backend is gone when its Service
    lost it, whatever another Service has at that address.
    """

    id: BackendId
    address: IPAddress
    port: int
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class BackendSet:
    """
    Backends that new connections may be given, sorted by (address, port). Id: of that content.

    Any change is a new set under a new id, so a frontend moves from one to the other in one write.
    """

    id: BackendSetId
    backends: tuple[Backend, ...]


class Scope(IntEnum):
    """Who asks: a frontend may have other backends for clients outside the cluster."""

    INTERNAL = 0
    EXTERNAL = 1


@dataclass(frozen=True, slots=True)
class Frontend:
    """One address, port and protocol that a Service answers on. An empty set rejects, or drops if `drops`."""

    address: IPAddress
    port: int
    protocol: Protocol
    scope: Scope
    backends: BackendSet
    drops: bool = False
    """The set is empty because this node may not use the endpoints that the Service has on other nodes."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """
    One Service on this node. Frontends are sorted by (address, port, protocol, scope).

    `serving` holds the backends that keep the connections they have, though new ones may avoid
    them (terminating); it includes every backend of every set, sorted by id.
    """

    ref: ObjectRef
    frontends: tuple[Frontend, ...]
    serving: tuple[Backend, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where a pod's interface is, as a CNI ADD reported it. `netns` is a path the agent can open."""

    pod: ObjectRef
    container_id: str
    netns: str
    ifname: str
    addresses: tuple[IPAddress, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pod of this node with a network of its own, and the policy it is under."""

    attachment: Attachment
    policy: PolicySetId = NO_POLICY
    selecting: tuple[NetworkPolicy | ClusterPolicy, ...] = field(default=(), compare=False)
    """The policies that select it, for people: what they come to stands in the set."""


class Action(IntEnum):
    """What a verdict does with a new connection."""

    ALLOW = 1
    DENY = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer and the rule that made it."""

    action: Action
    rule: RuleId


@dataclass(frozen=True, slots=True)
class RuleRef:
    """What a rule id stands for: the object, and the place in it (`spec.ingress[0]`, or "isolation")."""

    object: ObjectRef
    place: str


@dataclass(frozen=True, slots=True)
class VerdictEntry:
    """
    One entry of the verdict trie below one policy set.

    `protocol` is an IANA number of TCP, UDP or SCTP, and 0 for every other protocol.
    `port` and `bits` are a prefix of the destination port: 0/0 all, 80/16 just 80.
    For each (direction, class) that has entries at all, they cover every protocol and port;
    a class without entries has those of class 0, which is always there.
    """

    direction: Direction
    address_class: ClassId
    protocol: int
    port: int
    bits: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PolicySet:
    """
    Everything that pods of equal policy are under. Id: of their rules, and of the verdicts under class 0.

    So one id may have more or fewer entries in the next state, as classes come into use and go out of
    use, but never different ones: the entries for a class follow from the two ids. If two states of an
    id both use a class, either both have entries for it or neither has.
    """

    id: PolicySetId
    entries: Sequence[VerdictEntry]
    """Sorted by direction, then by class. Compute hands them out as `GroupedEntries`."""


@dataclass(frozen=True, slots=True)
class PolicyState:
    """
    Policy on this node: sets that its endpoints use, and the class of each address or prefix.

    Two addresses are in one class when exactly the same selectors and blocks in force here match
    them; the longest prefix of `classes` that holds an address names its class, none is class 0.
    Compute hands `classes` out as a `PrefixClasses`, of which a driver may take the columns.
    """

    sets: Mapping[PolicySetId, PolicySet] = field(default_factory=lambda: MappingProxyType({}))
    classes: Mapping[IPNetwork, ClassId] = field(default_factory=lambda: MappingProxyType({}))
    rules: Mapping[RuleId, RuleRef] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class NodeState:
    """
    All that one node should do. Made by `twinway.compute.desired`, and only there.

    An unchanged Service is the same object in the next state (`is`), so that a driver sees
    what changed without comparing contents.
    """

    node: NodeName
    version: str
    """The `Cluster.version` it was computed from."""
    addresses: tuple[IPAddress, ...]
    """The node's own addresses: traffic from them to own pods always passes."""
    services: Mapping[ObjectRef, ServiceState]
    endpoints: Mapping[ObjectRef, Endpoint]
    policy: PolicyState
    rejected: tuple[Rejected, ...]
    not_served: tuple[NotServed, ...] = ()
    """Of the Services of the cluster and the pods of this node, sorted."""
