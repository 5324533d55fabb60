"""
Atoms: the questions that rules ask about an address, with nothing left to resolve.

A peer of a policy, written so that it means the same in every policy of the cluster: `PodAtom` and
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
"""An atom that matches, with the protocol and number of the port that it gives (0 and 0 where it gives none)."""
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
    Pods among `pods` that have a port of this name; the answer is the number of that port.

    `protocol` is None where any protocol matches. Pods whose ports of this name have different numbers
    are in different classes.
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


# The content of an atom as tuples of words. Ids are derived from these alone, so that renaming a class or a
# field in the code changes no id.


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
