"""
Policy in the kernel: classes of addresses, verdicts of sets, and the moment pods turn to them.

A class entry holds two generations. A change fills the generation that no pod looks at, writes the
verdicts of new sets, and only then lets each pod turn, in one write of its own, to its new set *and*
to the other generation. So a packet is judged by the old state or by the new one, never by a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from twinway.model.net import IPNetwork
from twinway.model.node import ClassId, PolicySet, PolicySetId, PolicyState
from twinway_bpf import encode
from twinway_bpf.maps import Map
from twinway_bpf.sync import Step, perform

Ids = tuple[int, int]


class PolicyTables:
    """tw_class and tw_verdict. `prepare` writes what is new, `settle` removes what nobody uses any more."""

    def __init__(self, classes: Map, verdicts: Map) -> None:
        """The open maps."""
        self._classes = classes
        self._verdicts = verdicts
        self._ids: dict[IPNetwork, Ids] | None = None
        self._sets: dict[PolicySetId, list[bytes]] = {}
        self._found: dict[PolicySetId, dict[bytes, bytes]] = {}  # left by an earlier process, perhaps not whole
        self._settled: PolicyState | None = None
        self.generation = 0
        """The generation that pods look at."""
        self.mixed = False
        """Whether some pods look at the other one: an earlier process ended while they were turning."""

    def adopt(self, generations: frozenset[int]) -> None:
        """
        Read back what an earlier process left; its pods look at `generations`.

        Two of them mean that it ended while pods were turning: then neither generation is idle.
        """
        self._settled = None
        self.generation = min(generations, default=0)
        self.mixed = len(generations) > 1
        self._ids = {_network(key): encode.class_ids(value) for key, value in self._classes.entries().items()}
        self._sets, self._found = {}, {}
        for key, value in self._verdicts.entries().items():
            self._found.setdefault(encode.verdict_set(key), {})[key] = value

    def completes(self, policy: PolicyState) -> int | None:
        """The generation that says just what `policy` says, where pods were turning to it."""
        if self._fresh(policy):
            return None
        return next((g for g in (0, 1) if _same_classes(self._at(g), policy.classes)), None)

    def prepare(self, policy: PolicyState) -> tuple[Step, int]:
        """
        Make ready for pods to turn to `policy`; what is in force is not touched.

        Answers what was written and the generation to turn to. An unchanged policy writes nothing.
        """
        if policy is self._settled:
            return Step(), self.generation
        ids = self._known()
        idle = 1 - self.generation
        fresh = self._fresh(policy)
        if not fresh and not self.mixed and _same_classes(self._at(self.generation), policy.classes):
            return Step(), self.generation
        entries: dict[bytes, bytes] = {}
        for policy_set in fresh:
            entries.update(encode.verdicts(policy_set))
        changed = self._fill(idle, policy.classes)
        classes = {encode.class_key(network): encode.class_value(*ids[network]) for network in changed}
        step = perform((((self._verdicts, entries), (self._classes, classes)), ()))
        for policy_set in fresh:
            self._sets[policy_set.id] = [key for key, _ in encode.verdicts(policy_set)]
            self._found.pop(policy_set.id, None)
        return step, idle

    def turned(self, generation: int) -> None:
        """Every pod looks at `generation` now."""
        self.generation = generation
        self.mixed = False

    def settle(self, policy: PolicyState) -> Step:
        """Remove sets and prefixes that `policy` does not have."""
        if policy is self._settled:
            return Step()
        ids = self._known()
        sets = [identity for identity in self._sets if identity not in policy.sets]
        prefixes = [network for network in ids if network not in policy.classes]
        keys = [key for identity in sets for key in self._sets[identity]]
        keys += [key for entries in self._found.values() for key in entries]
        step = perform(((), ((self._classes, [encode.class_key(n) for n in prefixes]), (self._verdicts, keys))))
        self._found = {}
        for identity in sets:
            del self._sets[identity]
        for network in prefixes:
            del ids[network]
        self._settled = policy
        return step

    # Sets that have to be written: new ones, and those of which an earlier process left but a part.
    def _fresh(self, policy: PolicyState) -> list[PolicySet]:
        self._known()
        fresh = []
        for identity, policy_set in policy.sets.items():
            if identity in self._sets:
                continue
            entries = dict(encode.verdicts(policy_set))
            if self._found.get(identity) == entries:
                self._sets[identity] = list(entries)
                del self._found[identity]
            else:
                fresh.append(policy_set)
        return fresh

    def _known(self) -> dict[IPNetwork, Ids]:
        if self._ids is None:
            self.adopt(frozenset())
        assert self._ids is not None  # noqa: S101 (adopt has just set it)
        return self._ids

    def _at(self, generation: int) -> dict[IPNetwork, int]:
        return {network: pair[generation] for network, pair in self._known().items()}

    # A new prefix must not change what the generation in use says of its addresses: there it
    # repeats the class of the prefix around it. One that ends keeps its place until pods have turned.
    def _fill(self, idle: int, wanted: Mapping[IPNetwork, ClassId]) -> list[IPNetwork]:
        ids = self._known()
        changed = []
        for network in {*ids, *wanted}:
            new = wanted[network] if network in wanted else _around(network, wanted)
            old = ids[network][1 - idle] if network in ids else _around(network, ids, 1 - idle)
            pair = (new, old) if idle == 0 else (old, new)
            if ids.get(network) != pair:
                changed.append((network, pair))
        # longest first: a shorter prefix must not say anything new of addresses below a longer one yet to come
        changed.sort(key=lambda entry: -entry[0].prefixlen)
        for network, pair in changed:
            ids[network] = pair
        return [network for network, _ in changed]


def _same_classes(current: Mapping[IPNetwork, int], wanted: Mapping[IPNetwork, ClassId]) -> bool:
    return all(current.get(network) == identity for network, identity in wanted.items()) and all(
        network in wanted for network in current
    )


def _around(
    network: IPNetwork, classes: Mapping[IPNetwork, ClassId] | Mapping[IPNetwork, Ids], at: int = -1
) -> int:
    for bits in range(network.prefixlen - 1, -1, -1):
        found = classes.get(network.supernet(new_prefix=bits))
        if found is not None:
            return found[at] if isinstance(found, tuple) else found
    return 0


def _network(key: bytes) -> IPNetwork:
    bits = int.from_bytes(key[:4], "little")
    address = encode.address_back(key[4:])
    if address.version == 4 and bits >= 96:
        return IPv4Network((address, bits - 96))
    found = ip_network((key[4:], bits))
    assert isinstance(found, IPv6Network)  # noqa: S101 (sixteen bytes)
    return found
