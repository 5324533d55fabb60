"""
Peers and ports of cluster-wide policies: v1beta1 with v1alpha2, which is the same, and v1alpha1.

Source: apis/ of sigs.k8s.io/network-policy-api, validation markers included.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, model_validator

from twinway.model.net import IPNetwork, Protocol
from twinway.model.policy import Block, NodePeer, Peer, PodPeer, PortRange, Selector
from twinway.sources.decode.fields import ClosedSchema, ListOf, Port, PortName, Prefix, ProtocolName
from twinway.sources.decode.policy.parts import Reading

NETWORKS = 25
"""Blocks that one peer may list."""


class OneOf(ClosedSchema):
    """Base of unions: exactly one field is set, the others are absent, null or an empty list."""

    @model_validator(mode="after")
    def _one(self) -> OneOf:
        names = {name: str(field.alias) for name, field in type(self).model_fields.items()}
        given = [names[name] for name in names if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            have = " and ".join(given) or "none"
            raise ValueError(f"must have exactly one of {', '.join(names.values())}, but has {have}")
        return self


# -- peers -----------------------------------------------------------------------------------------


def _unsupported(value: object) -> None:
    if value is not None:
        raise ValueError("is not supported: domain names are not resolved here")


def _few(networks: tuple[IPNetwork, ...]) -> tuple[IPNetwork, ...]:
    if len(networks) > NETWORKS:
        raise ValueError(f"must have {NETWORKS} entries at most, not {len(networks)}")
    return networks


class _NamespacedPod(ClosedSchema):
    namespace_selector: Any = None
    pod_selector: Any


class PodPeerSchema(OneOf):
    """A subject, or an ingress peer: pods."""

    namespaces: Any = None
    pods: _NamespacedPod | None = None


class EgressPeerSchema(OneOf):
    """An egress peer: pods, nodes, or address blocks; a union of its own, for its fields are listed in errors."""

    namespaces: Any = None
    pods: _NamespacedPod | None = None
    nodes: Any = None
    networks: Annotated[ListOf[Prefix], AfterValidator(_few)] = ()
    domain_names: Annotated[None, PlainValidator(_unsupported)] = None


def pod_peer(schema: PodPeerSchema | EgressPeerSchema, at: str, reading: Reading) -> PodPeer | None:
    """Pods by `namespaces` or `pods`, None where a selector is bad. Without a namespace selector: of all."""
    if schema.pods is None:
        namespaces = reading.selector(schema.namespaces, f"{at}.namespaces")
        return PodPeer(namespaces, Selector()) if namespaces is not None else None
    namespaces = Selector()
    if schema.pods.namespace_selector is not None:
        namespaces = reading.selector(schema.pods.namespace_selector, f"{at}.pods.namespaceSelector")
    pods = reading.selector(schema.pods.pod_selector, f"{at}.pods.podSelector")
    return PodPeer(namespaces, pods) if namespaces is not None and pods is not None else None


def ingress_peers(document: object, at: str, reading: Reading) -> tuple[Peer, ...] | None:
    """What one entry of `from` stands for, None where it is bad or of a kind that is not known."""
    schema = reading.read(PodPeerSchema, document, at)
    peer = pod_peer(schema, at, reading) if schema else None
    return (peer,) if peer else None


def egress_peers(document: object, at: str, reading: Reading) -> tuple[Peer, ...] | None:
    """What one entry of `to` stands for, None where it is bad or of a kind that is not known."""
    schema = reading.read(EgressPeerSchema, document, at)
    if schema is None:
        return None
    if schema.networks:
        return tuple(Block(network, ()) for network in schema.networks)
    if schema.nodes is not None:
        nodes = reading.selector(schema.nodes, f"{at}.nodes")
        return (NodePeer(nodes),) if nodes is not None else None
    peer = pod_peer(schema, at, reading)
    return (peer,) if peer else None


# -- ports -----------------------------------------------------------------------------------------


class _Range(ClosedSchema):
    start: Port
    end: Port

    @model_validator(mode="after")
    def _upwards(self) -> _Range:
        if self.start >= self.end:
            raise ValueError(f"end must be greater than start, {self.start}, not {self.end}")
        return self


class _Destination(OneOf):
    number: Port | None = None
    range: _Range | None = None


class _Transport(ClosedSchema):
    destination_port: _Destination


class _Protocols(OneOf):
    """v1beta1 and v1alpha2: one entry of `protocols`."""

    tcp: _Transport | None = None
    udp: _Transport | None = None
    sctp: _Transport | None = None
    destination_named_port: PortName | None = None

    def value(self) -> PortRange:
        for protocol, transport in (
            (Protocol.TCP, self.tcp),
            (Protocol.UDP, self.udp),
            (Protocol.SCTP, self.sctp),
        ):
            if transport is not None:
                port = transport.destination_port
                first, last = (port.range.start, port.range.end) if port.range else (port.number, port.number)
                return PortRange(protocol, first or 0, last or 0)
        return PortRange(None, 0, 0, self.destination_named_port or "")


class _Number(ClosedSchema):
    protocol: ProtocolName | None = None
    port: Port


class _OldRange(_Range):
    protocol: ProtocolName | None = None


class _Ports(OneOf):
    """v1alpha1: one entry of `ports`. The protocol is TCP where it is absent."""

    port_number: _Number | None = None
    port_range: _OldRange | None = None
    named_port: PortName | None = None

    def value(self) -> PortRange:
        if self.port_number is not None:
            number = self.port_number
            return PortRange(number.protocol or Protocol.TCP, number.port, number.port)
        if self.port_range is not None:
            ports = self.port_range
            return PortRange(ports.protocol or Protocol.TCP, ports.start, ports.end)
        return PortRange(None, 0, 0, self.named_port or "")


def protocols(document: object, at: str, reading: Reading) -> PortRange | None:
    """One entry of `protocols` (v1beta1, v1alpha2), None where it is bad."""
    schema = reading.read(_Protocols, document, at)
    return schema.value() if schema else None


def ports(document: object, at: str, reading: Reading) -> PortRange | None:
    """One entry of `ports` (v1alpha1), None where it is bad."""
    schema = reading.read(_Ports, document, at)
    return schema.value() if schema else None
