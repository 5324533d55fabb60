"""NetworkPolicy and its cluster-wide kin, as the API says them. Selectors are kept, not resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from twinway.model.net import IPNetwork, ObjectRef, Protocol


class Direction(IntEnum):
    """The pod's side of a packet: INGRESS is towards the pod, EGRESS is from it."""

    INGRESS = 0
    EGRESS = 1


class Operator(StrEnum):
    """Operators of a label selector requirement. Source: apimachinery meta/v1 LabelSelectorOperator."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    NOT_EXISTS = "DoesNotExist"


@dataclass(frozen=True, slots=True, order=True)
class Requirement:
    """One requirement on a label; `values` is sorted, and empty for Exists and DoesNotExist."""

    key: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Selector:
    """
    A label selector: all requirements hold. The empty selector matches everything.

    `matchLabels` is decoded into `In` requirements; requirements are sorted, so that selectors
    of one meaning are equal. An absent selector is `None` where a Selector may stand.
    """

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(_holds(requirement, labels) for requirement in self.requirements)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value is not None and value in requirement.values
        case Operator.NOT_IN:
            return value is None or value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.NOT_EXISTS:
            return value is None


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """`ipBlock`: addresses of `network` outside every one of `excepted`."""

    network: IPNetwork
    excepted: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True, order=True)
class PodPeer:
    """
    Pods by labels of their namespace and of their own.

    `namespaces` is None for "the policy's own namespace" (NetworkPolicy alone may say so);
    `pods` is the empty selector where the API left it out.
    """

    namespaces: Selector | None
    pods: Selector


@dataclass(frozen=True, slots=True, order=True)
class NodePeer:
    """Nodes by labels: their addresses, and so those of host-network pods (ClusterNetworkPolicy)."""

    nodes: Selector


Peer = Block | PodPeer | NodePeer


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """
    Ports of one protocol, `first` to `last`, both included; 0 to 65535 is all of them.

    `name` is not empty for a named port, looked up on the destination pod; numbers are then 0.
    `protocol` is None for a named port that any protocol may carry (ClusterNetworkPolicy).
    """

    protocol: Protocol | None
    first: int
    last: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """
    One allow rule of a NetworkPolicy. `None` means "not restricted" (all peers, all ports and protocols).

    An empty tuple matches nothing: what is left where every entry of a list was refused.
    """

    peers: tuple[Peer, ...] | None
    ports: tuple[PortRange, ...] | None


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """
    A NetworkPolicy. `ingress`/`egress` is None where the policy does not isolate that direction.

    An empty tuple isolates and allows nothing. A policy with a broken part still isolates what it
    selects; the broken part allows nothing and is among the snapshot's `rejected`.
    Source: k8s.io/api/networking/v1.
    """

    ref: ObjectRef
    pods: Selector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None


class Tier(StrEnum):
    """Tiers of ClusterNetworkPolicy; NetworkPolicy stands between the two."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class ClusterAction(StrEnum):
    """What a cluster-wide rule does. v1alpha1's Allow is Accept."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105 (no password)


@dataclass(frozen=True, slots=True)
class ClusterRule:
    """One rule of a cluster-wide policy; `ports` None means all ports and protocols."""

    name: str
    action: ClusterAction
    peers: tuple[Peer, ...]
    ports: tuple[PortRange, ...] | None


@dataclass(frozen=True, slots=True)
class ClusterPolicy:
    """
    ClusterNetworkPolicy, or AdminNetworkPolicy / BaselineAdminNetworkPolicy v1alpha1.

    Lower `priority` is stronger; within one policy, rules in order, the first that matches decides.
    Source: sigs.k8s.io/network-policy-api.
    """

    ref: ObjectRef
    tier: Tier
    priority: int
    subject: PodPeer
    ingress: tuple[ClusterRule, ...]
    egress: tuple[ClusterRule, ...]
