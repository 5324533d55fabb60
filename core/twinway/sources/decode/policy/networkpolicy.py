"""
NetworkPolicy: from the API's dictionary to a `NetworkPolicy`.

What cannot be read is taken in the sense that allows least, so that a pod which its owner meant to
isolate is never open because of a mistake. The API server refuses most of these mistakes; a file,
or an API server newer than this program, does not. In detail:

* a bad peer or port matches nothing, the others of its list stand;
* a rule with a field that is not known matches nothing: the field may have narrowed it;
* a bad `podSelector` stands for every pod of the namespace, and nothing is allowed to them by this
  policy: for the pods that were not meant, its rules would be holes in other policies;
* a `policyTypes` that cannot be read isolates both directions;
* beside a field of `spec` that is not known, no default is taken: an absent `podSelector` counts
  as a bad one, absent `policyTypes` as both.

Source: k8s.io/api/networking/v1; pkg/apis/networking/validation and v1/defaults.go in kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from twinway.model.net import Protocol, Rejected
from twinway.model.policy import Block, Direction, NetworkPolicy, Peer, PodPeer, PortRange, Rule, Selector
from twinway.sources.decode.fields import ClosedSchema, Port, PortOrName, ProtocolName, shown
from twinway.sources.decode.metadata import ref_of
from twinway.sources.decode.policy.parts import BlockSchema, Reading

_NOTHING = Rule(peers=(), ports=())
_EVERYTHING = Selector()
_BOTH = frozenset(Direction)
_DIRECTIONS = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}


class _Spec(ClosedSchema):
    # Only the names of the fields are checked here: each part is read by itself.
    pod_selector: Any = None
    policy_types: Any = None
    ingress: Any = None
    egress: Any = None


class _IngressRule(ClosedSchema):
    peers: Any = Field(None, alias="from")
    ports: Any = None


class _EgressRule(ClosedSchema):
    peers: Any = Field(None, alias="to")
    ports: Any = None


class _Peer(ClosedSchema):
    pod_selector: Any = None
    namespace_selector: Any = None
    ip_block: BlockSchema | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> _Peer:
        selectors = self.pod_selector is not None or self.namespace_selector is not None
        if selectors and self.ip_block is not None:
            raise ValueError("ipBlock must stand alone, without podSelector and namespaceSelector")
        if not selectors and self.ip_block is None:
            raise ValueError("must have podSelector, namespaceSelector or ipBlock")
        return self


class _Port(ClosedSchema):
    protocol: ProtocolName | None = None
    port: PortOrName | None = None
    end_port: Port | None = None

    @model_validator(mode="after")
    def _range(self) -> _Port:
        if self.end_port is not None:
            if not isinstance(self.port, int):
                raise ValueError(f"endPort needs a port number as port, not {shown(self.port)}")
            if self.end_port < self.port:
                raise ValueError(f"endPort must be {self.port} or more, not {self.end_port}")
        return self

    def value(self) -> PortRange:
        protocol = self.protocol or Protocol.TCP
        match self.port:
            case None:
                return PortRange(protocol, 0, 65535)
            case str(name):
                return PortRange(protocol, 0, 0, name)
            case int(first):
                return PortRange(protocol, first, self.end_port or first)


def decode_network_policy(document: Mapping[str, Any]) -> tuple[NetworkPolicy | None, tuple[Rejected, ...]]:
    """The policy with what is wrong with it; None only where its own name is unknown."""
    reading = Reading(ref_of(document, namespaced=True))
    if not reading.metadata(document):
        return None, tuple(reading.rejected)
    whole = document.get("spec")
    spec = reading.mapping({} if whole is None else whole, "spec")
    if spec is None:
        policy = NetworkPolicy(reading.ref, _EVERYTHING, ingress=(), egress=())
    else:
        policy = _policy(spec, reading)
    return policy, tuple(reading.rejected)


def closed_network_policy(document: Mapping[str, Any]) -> tuple[NetworkPolicy | None, tuple[Rejected, ...]]:
    """
    A policy of a version that is not known: it isolates what it selects in both directions, and allows nothing.

    Its selector is read as today's is; where that cannot be, it stands for every pod of the namespace.
    """
    reading = Reading(ref_of(document, namespaced=True))
    if not reading.metadata(document):
        return None, tuple(reading.rejected)
    spec = document.get("spec")
    pods = spec.get("podSelector") if isinstance(spec, Mapping) else None
    selector = None if pods is None else reading.selector(pods, "spec.podSelector")
    policy = NetworkPolicy(reading.ref, _EVERYTHING if selector is None else selector, ingress=(), egress=())
    return policy, tuple(reading.rejected)


def _policy(spec: Mapping[str, Any], reading: Reading) -> NetworkPolicy:
    defaults = reading.read(_Spec, spec, "spec") is not None
    pods = _pods(spec.get("podSelector"), reading, defaults=defaults)
    directions = _directions(spec, reading, defaults=defaults)
    rules: dict[Direction, tuple[Rule, ...]] = {
        Direction.INGRESS: _rules(spec, "ingress", _IngressRule, reading),
        Direction.EGRESS: _rules(spec, "egress", _EgressRule, reading),
    }
    if pods is None:
        rules = {direction: (_NOTHING,) * len(each) for direction, each in rules.items()}
    return NetworkPolicy(
        ref=reading.ref,
        pods=_EVERYTHING if pods is None else pods,
        ingress=rules[Direction.INGRESS] if Direction.INGRESS in directions else None,
        egress=rules[Direction.EGRESS] if Direction.EGRESS in directions else None,
    )


def _pods(document: object, reading: Reading, *, defaults: bool) -> Selector | None:
    if document is not None:
        return reading.selector(document, "spec.podSelector")
    return _EVERYTHING if defaults else None


def _directions(spec: Mapping[str, Any], reading: Reading, *, defaults: bool) -> frozenset[Direction]:
    types = reading.items(spec.get("policyTypes"), "spec.policyTypes")
    if types is None:
        return _BOTH
    if not types:
        # Source: SetDefaults_NetworkPolicy: always Ingress, Egress where there are egress rules.
        egress = spec.get("egress") not in (None, [])
        return _BOTH if egress or not defaults else frozenset({Direction.INGRESS})
    known = frozenset(_DIRECTIONS[each] for each in types if isinstance(each, str) and each in _DIRECTIONS)
    wrong = False
    for index, each in enumerate(types):
        if not isinstance(each, str) or each not in _DIRECTIONS:
            reading.refuse(f"spec.policyTypes[{index}]", f"must be Ingress or Egress, not {shown(each)}")
            wrong = True
    return _BOTH if wrong else known


def _rules(
    spec: Mapping[str, Any], field: str, schema: type[_IngressRule | _EgressRule], reading: Reading
) -> tuple[Rule, ...]:
    at = f"spec.{field}"
    documents = reading.items(spec.get(field), at)
    return tuple(_rule(each, f"{at}[{index}]", schema, reading) for index, each in enumerate(documents or ()))


def _rule(document: object, at: str, schema: type[_IngressRule | _EgressRule], reading: Reading) -> Rule:
    # The place of a rule in its list is part of its name: a bad one keeps its place and matches nothing.
    rule = reading.read(schema, document, at)
    if rule is None:
        return _NOTHING
    field = f"{at}.{schema.model_fields['peers'].alias}"
    peers = reading.items(rule.peers, field)
    ports = reading.items(rule.ports, f"{at}.ports")
    if peers is None or ports is None:
        return _NOTHING
    good_peers = (_peer(each, f"{field}[{index}]", reading) for index, each in enumerate(peers))
    good_ports = (reading.read(_Port, each, f"{at}.ports[{index}]") for index, each in enumerate(ports))
    # An empty list is no restriction; a list of which nothing is left matches nothing.
    return Rule(
        peers=tuple(peer for peer in good_peers if peer is not None) if peers else None,
        ports=tuple(port.value() for port in good_ports if port is not None) if ports else None,
    )


def _peer(document: object, at: str, reading: Reading) -> Peer | None:
    peer = reading.read(_Peer, document, at)
    if peer is None:
        return None
    if peer.ip_block is not None:
        return Block(peer.ip_block.cidr, tuple(sorted(set(peer.ip_block.excepted))))
    namespaces: Selector | None = None
    pods: Selector | None = _EVERYTHING
    if peer.namespace_selector is not None:
        namespaces = reading.selector(peer.namespace_selector, f"{at}.namespaceSelector")
        if namespaces is None:
            return None
    if peer.pod_selector is not None:
        pods = reading.selector(peer.pod_selector, f"{at}.podSelector")
    return None if pods is None else PodPeer(namespaces, pods)
