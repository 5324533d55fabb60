"""
The verdict on an established connection, read from the tables as the programs read them.

Programs judge sockets that send or receive; this judges those that are silent (kernel/judge.h is the same in C).
"""

from __future__ import annotations

from ipaddress import ip_network

from twinway.model import node, walk
from twinway.model.net import IPAddress, Protocol
from twinway.model.node import NO_CLASS, Action, ClassId, PolicySetId, RuleId
from twinway.model.policy import Direction
from twinway_bpf.connections.sockdiag import End, Socket
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Class, Ep, EpKind, Sk, Verdict, VerdictKey

_WHOLE_PORT = encode.VERDICT_PREFIX + 16
"""Bits of a verdict's key with its port."""


class Judgement:
    """Remembers its verdicts, so it must not be used after the tables change."""

    def __init__(self, endpoints: Map, classes: Map, verdicts: Map) -> None:
        """tw_ep, tw_class and tw_verdict, open."""
        self._endpoints = endpoints
        self._classes = classes
        self._verdicts = verdicts
        self._known: dict[tuple[IPAddress, IPAddress, int, Direction], bool] = {}

    def allows(self, found: Socket, *, initiator: bool) -> bool:
        """Whether the policy of the pod that has this TCP socket allows its connection to continue."""
        local, peer = found.local, found.peer
        if local.address == peer.address:
            return self._allows_itself(found)
        if initiator:
            return self._open(local.address, peer.address, peer.port, Direction.EGRESS)
        return self._open(local.address, peer.address, local.port, Direction.INGRESS)

    # By its own address a pod reaches itself; through a Service it is judged like anybody.
    def _allows_itself(self, found: Socket) -> bool:
        given = Sk.from_buffer_copy(found.storage) if found.storage else Sk()
        peer = found.peer
        asked = End(encode.address_back(bytes(given.to.addr)), given.to.port)
        if not given.backend or asked != peer:
            return True
        return all(self._open(peer.address, peer.address, peer.port, way) for way in Direction)

    def _open(self, pod: IPAddress, peer: IPAddress, port: int, direction: Direction) -> bool:
        asked = pod, peer, port, direction
        if asked not in self._known:
            self._known[asked] = self._judge(*asked)
        return self._known[asked]

    def _judge(self, pod: IPAddress, peer: IPAddress, port: int, direction: Direction) -> bool:
        own = self._endpoint(pod)
        if own is None or own.kind != EpKind.POD or not own.policy:
            return True
        other = self._endpoint(peer)
        if direction == Direction.INGRESS and other is not None and other.kind == EpKind.NODE:
            return True
        tables = _Tables(self._classes, self._verdicts, own.gen)
        policy = PolicySetId(own.policy)
        return walk.verdict(tables, policy, direction, peer, Protocol.TCP.number, port).action == Action.ALLOW

    def _endpoint(self, address: IPAddress) -> Ep | None:
        value = self._endpoints.lookup(encode.address(address))
        return None if value is None else Ep.from_buffer_copy(value)


class _Tables:
    # The kernel's tables for the walk, by the generation of classes that the judged pod is in.
    def __init__(self, classes: Map, verdicts: Map, generation: int) -> None:
        self._classes = classes
        self._verdicts = verdicts
        self._generation = generation & 1

    def class_of(self, address: IPAddress) -> ClassId:
        value = self._classes.lookup(encode.class_key(ip_network(address)))
        return NO_CLASS if value is None else ClassId(Class.from_buffer_copy(value).id[self._generation])

    def entry(self, key: walk.VerdictKey, port: int) -> node.Verdict | None:
        policy, direction, address_class, protocol = key
        whole = VerdictKey(_WHOLE_PORT, direction, protocol, 0, policy, address_class, port)
        value = self._verdicts.lookup(bytes(whole))
        if value is None:
            return None
        found = Verdict.from_buffer_copy(value)
        return node.Verdict(Action(found.action), RuleId(found.rule))
