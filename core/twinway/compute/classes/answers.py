"""What the atoms in force answer about pods, by profile, and about nodes, by address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from twinway.compute.classes.atoms import Atom, AtomId, Members
from twinway.compute.classes.candidates import Candidates
from twinway.compute.classes.matching import EVERYWHERE, Key, Labels, Profile, Question, Questions, keys_of
from twinway.compute.labels import namespace_labels
from twinway.model.cluster import Namespace, Node
from twinway.model.difference import difference
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.policy import NodePeer

NOTHING: Members = frozenset()


class PodAnswers:
    """The members of each profile, worked out when it is first met, and again where something changed."""

    def __init__(self) -> None:
        """No atom is in force."""
        self._questions = Questions()
        self._namespaces: Mapping[ObjectRef, Namespace] = {}
        self._members: dict[Profile, Members] = {}
        self._looking: dict[Key, set[Profile]] = {}
        """The profiles that look into each bucket."""
        self._labels: dict[str, Labels] = {}
        """Those of each namespace that profiles are of."""

    def update(
        self,
        come: Mapping[AtomId, Atom],
        gone: Mapping[AtomId, Atom],
        namespaces: Mapping[ObjectRef, Namespace],
        candidates: Candidates,
    ) -> set[Profile]:
        """Take over what changed; the profiles about which the answers are others now."""
        for profile in candidates.ended():
            if profile in self._members:
                self._drop(profile)
        left, entered = difference(self._namespaces, namespaces)
        self._namespaces = namespaces
        changed = {each.ref.name for each in (*left, *entered)}
        for name in changed:
            self._labels.pop(name, None)
        return self._remove(gone) | self._add(come) | self._renew(changed)

    def of(self, profile: Profile) -> Members:
        """The members of pods of this profile."""
        known = self._members.get(profile)
        if known is None:
            known = self._members[profile] = self._ask(profile)
            for key in keys_of(profile):
                self._looking.setdefault(key, set()).add(profile)
        return known

    def _remove(self, atoms: Iterable[AtomId]) -> set[Profile]:
        changed = set()
        for id_ in atoms:
            question = self._questions.remove(id_)
            for profile in self._reached(question) if question else ():
                changed |= self._set(profile, frozenset(each for each in self._members[profile] if each[0] != id_))
        return changed

    def _add(self, atoms: Mapping[AtomId, Atom]) -> set[Profile]:
        # Only the new atoms are asked, and only about those that they can match.
        changed = set()
        for id_, atom in atoms.items():
            question = self._questions.add(id_, atom)
            for profile in self._reached(question) if question else ():
                labels = self._labels_of(profile.namespace)
                more = question.members(profile, dict(profile.labels), labels) if question else ()
                changed |= self._set(profile, self._members[profile].union(more))
        return changed

    def _renew(self, namespaces: Iterable[str]) -> set[Profile]:
        changed = set()
        for profile in self._lookers((name,) for name in namespaces):
            changed |= self._set(profile, self._ask(profile))
        return changed

    def _reached(self, question: Question) -> list[Profile]:
        # The profiles that the answer can be about. One that matched by labels which its namespace has
        # no more is left out, and asked everything again.
        if not question.picks_namespaces:
            return self._lookers(question.keys)
        picked = {name for name, labels in self._labels.items() if question.picks(labels)}
        if question.keys == [EVERYWHERE]:
            return self._lookers((name,) for name in picked)
        return [each for each in self._lookers(question.keys) if each.namespace in picked]

    def _labels_of(self, name: str) -> Labels:
        known = self._labels.get(name)
        if known is None:
            known = self._labels[name] = namespace_labels(self._namespaces, name)
        return known

    def _lookers(self, keys: Iterable[Key]) -> list[Profile]:
        return list({profile for key in keys for profile in self._looking.get(key, ())})

    def _set(self, profile: Profile, members: Members) -> set[Profile]:
        if members == self._members[profile]:
            return set()
        self._members[profile] = members
        return {profile}

    def _ask(self, profile: Profile) -> Members:
        return self._questions.members(profile, self._labels_of(profile.namespace))

    def _drop(self, profile: Profile) -> None:
        del self._members[profile]
        for key in keys_of(profile):
            self._looking[key].discard(profile)
            if not self._looking[key]:
                del self._looking[key]
        if (profile.namespace,) not in self._looking:
            self._labels.pop(profile.namespace, None)


def node_answers(atoms: Mapping[AtomId, Atom], nodes: Iterable[Node]) -> dict[IPAddress, Members]:
    """The atoms that match each node address; addresses that none matches are left out."""
    questions = [(id_, atom.nodes) for id_, atom in atoms.items() if isinstance(atom, NodePeer)]
    found: dict[IPAddress, Members] = {}
    for node in nodes if questions else ():
        members = frozenset((id_, 0, 0) for id_, selector in questions if selector.matches(node.labels))
        for address in node.addresses if members else ():
            found[address] = found.get(address, NOTHING) | members
    return found
