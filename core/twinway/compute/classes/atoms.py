"""
Atoms: the questions that rules ask about an address, with nothing left to resolve.

A peer of a policy, put down so that it means the same in every policy of the cluster: `PodAtom` and
`PortAtom` ask about the pod that has the address, `NodePeer` about the node, `Block` about the
address itself. Two addresses that give the same answers to all atoms in force are in one class.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import NewType

from twinway.compute.ids import content_id
from twinway.model.net import Protocol
from twinway.model.policy import Block, NodePeer, PodPeer, Selector

AtomId = NewType("AtomId", int)
NO_ATOM = AtomId(0)

Member = tuple[AtomId, int, int]
"""An atom that matches, and the protocol and number of the port that it tells (0 and 0 where it tells none)."""
Members = frozenset[Member]
"""All atoms that match an address: its class is made of them."""


@dataclass(frozen=True, slots=True)
class PodAtom:
    """Pods by labels: of one namespace where it is named, else of the namespaces that are selected."""

    namespace: str
    namespaces: Selector
    pods: Selector


@dataclass(frozen=True, slots=True)
class PortAtom:
    """
    Pods among `pods` that have a port of this name, and which number it has there.

    `protocol` is None where any will do. The answer is a number, so pods whose port of this name
    differs are in different classes.
    """

    pods: PodAtom
    name: str
    protocol: Protocol | None


Atom = PodAtom | PortAtom | NodePeer | Block

_ALL = Selector()
EVERY_POD = PodAtom("", _ALL, _ALL)


def pod_atom(peer: PodPeer, namespace: str) -> PodAtom:
    """The atom of a peer in a policy of this namespace (empty for cluster-wide policies)."""
    if peer.namespaces is None:
        return PodAtom(namespace, _ALL, peer.pods)
    return PodAtom("", peer.namespaces, peer.pods)


def atom_id(atom: Atom) -> AtomId:
    """The id of an atom, by its content."""
    return AtomId(content_id(b"atom", repr(_content(atom)).encode()))


# What an atom is made of, as tuples of words: the bytes of its id come from these and from nothing
# that a change of the code's own names would move.


@singledispatch
def _content(atom: Atom) -> tuple[object, ...]:
    raise TypeError(f"{atom!r} is no atom")


@_content.register
def _(atom: PodAtom) -> tuple[object, ...]:
    return "pods", atom.namespace, _selector(atom.namespaces), _selector(atom.pods)


@_content.register
def _(atom: PortAtom) -> tuple[object, ...]:
    return "port", atom.name, str(atom.protocol or ""), _content(atom.pods)


@_content.register
def _(atom: NodePeer) -> tuple[object, ...]:
    return "nodes", _selector(atom.nodes)


@_content.register
def _(atom: Block) -> tuple[object, ...]:
    return "block", str(atom.network), tuple(str(each) for each in atom.excepted)


def _selector(selector: Selector) -> tuple[object, ...]:
    return tuple((each.key, str(each.operator), each.values) for each in selector.requirements)
