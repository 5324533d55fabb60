"""
Which atoms match a pod, without asking every atom about every pod.

Atoms are kept in buckets by what a pod must have to match them at all: a namespace, and one label
with one value where the selector says so. A pod looks only into the buckets of its own labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from twinway.compute.classes.atoms import Atom, AtomId, Member, Members, PodAtom, PortAtom
from twinway.model.cluster import Pod
from twinway.model.policy import Operator, Requirement, Selector

Labels = Mapping[str, str]
Key = tuple[str, ...]
"""A bucket: a namespace (empty: any), and perhaps a label and its value."""
EVERYWHERE: Key = ("",)


class Profile(NamedTuple):
    """All that an atom can ask about a pod, but the labels of its namespace; pods of one profile match alike."""

    namespace: str
    labels: frozenset[tuple[str, str]]
    ports: frozenset[tuple[str, str, int, int]]
    """Name, protocol, protocol number and number of each port that has a name."""


def profile_of(pod: Pod) -> Profile:
    """The profile of a pod."""
    ports = [(each.name, each.protocol, each.protocol.number, each.port) for each in pod.ports if each.name]
    return Profile(pod.ref.namespace, frozenset(pod.labels.items()), frozenset(ports))


class Question:
    """An atom about pods, made ready to be asked often; `keys` are its buckets."""

    def __init__(self, id_: AtomId, atom: PodAtom | PortAtom) -> None:
        """The atom, and its id, which is the answer."""
        pods = atom.pods if isinstance(atom, PortAtom) else atom
        self._id = id_
        self._alone: tuple[Member, ...] = ((id_, 0, 0),)  # the same object in all members that have it
        self._port = atom if isinstance(atom, PortAtom) else None
        anchor = _anchor(pods.pods)
        self.keys: list[Key] = [(pods.namespace,)]
        if anchor is not None:
            self.keys = [(pods.namespace, anchor.key, value) for value in anchor.values]
        # The bucket has answered the anchor already.
        self._tests = [_test(each) for each in pods.pods.requirements if each is not anchor]
        self._namespace_tests = [_test(each) for each in pods.namespaces.requirements]

    @property
    def picks_namespaces(self) -> bool:
        """Whether some namespaces are out of question by their labels."""
        return bool(self._namespace_tests)

    def picks(self, namespace: Labels) -> bool:
        """Whether pods of a namespace with these labels can match."""
        return all(test(namespace) for test in self._namespace_tests)

    def members(self, profile: Profile, labels: Labels, namespace: Labels) -> Iterable[Member]:
        """What the atom answers about pods that look into one of its buckets; nothing if it does not match."""
        for test in self._tests:
            if not test(labels):
                return ()
        for test in self._namespace_tests:
            if not test(namespace):
                return ()
        port = self._port
        if port is None:
            return self._alone
        return [
            (self._id, number, value)
            for name, protocol, number, value in profile.ports
            if name == port.name and port.protocol in (None, protocol)
        ]


class Questions:
    """The atoms about pods that are in force, in their buckets."""

    def __init__(self) -> None:
        """None is in force."""
        self._buckets: dict[Key, dict[AtomId, Question]] = {}
        self._all: dict[AtomId, Question] = {}

    def add(self, id_: AtomId, atom: Atom) -> Question | None:
        """From now on, ask this atom, too; None if it is not about pods."""
        if not isinstance(atom, PodAtom | PortAtom):
            return None
        question = self._all[id_] = Question(id_, atom)
        for key in question.keys:
            self._buckets.setdefault(key, {})[id_] = question
        return question

    def remove(self, id_: AtomId) -> Question | None:
        """Ask this atom no more; None if it was not about pods."""
        question = self._all.pop(id_, None)
        for key in question.keys if question else ():
            del self._buckets[key][id_]
            if not self._buckets[key]:
                del self._buckets[key]
        return question

    def members(self, profile: Profile, namespace: Labels) -> Members:
        """The atoms that match pods of this profile, in a namespace of these labels."""
        labels = dict(profile.labels)
        found: list[Member] = []
        for key in keys_of(profile):
            for question in self._buckets.get(key, {}).values():
                found += question.members(profile, labels, namespace)
        return frozenset(found)


def keys_of(profile: Profile) -> list[Key]:
    """The buckets that pods of this profile look into."""
    keys: list[Key] = [(profile.namespace,), EVERYWHERE]
    for label in profile.labels:
        keys += ((profile.namespace, *label), ("", *label))
    return keys


def _anchor(selector: Selector) -> Requirement | None:
    candidates = [each for each in selector.requirements if each.operator is Operator.IN]
    return min(candidates, key=lambda each: len(each.values), default=None)


def _test(requirement: Requirement) -> Callable[[Labels], bool]:
    key, values = requirement.key, frozenset(requirement.values)
    match requirement.operator:
        case Operator.IN:
            return lambda labels: labels.get(key) in values
        case Operator.NOT_IN:
            return lambda labels: labels.get(key) not in values
        case Operator.EXISTS:
            return lambda labels: key in labels
        case Operator.NOT_EXISTS:
            return lambda labels: key not in labels
