"""
Policy in the kernel: classes of addresses, verdicts of sets, and the moment pods turn to them.

A class entry holds two generations. A change fills the generation that no pod looks at, writes the
verdicts of new sets, and only then lets each pod turn, in one write of its own, to its new set *and*
to the other generation. So a packet is judged by the old state or by the new one, never by a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import compress
from operator import is_, ne

from twinway.model.net import IPNetwork
from twinway.model.node import ClassId, PolicyState
from twinway_bpf import encode
from twinway_bpf.maps import Map
from twinway_bpf.sync import Step
from twinway_bpf.verdicts import VerdictSets

Ids = tuple[int, int]


class PolicyTables:
    """tw_class and tw_verdict. `prepare` writes what is new, `settle` removes what nobody uses any more."""

    def __init__(self, classes: Map, verdicts: Map) -> None:
        """The open maps."""
        self._classes = classes
        self._sets = VerdictSets(verdicts)
        self._ids: dict[IPNetwork, Ids] = {}
        self._lagging: set[IPNetwork] = set()  # where the idle generation says something else
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
        self._sets.adopt()

    def completes(self, policy: PolicyState) -> int | None:
        """The generation that says just what `policy` says, where pods were turning to it."""
        if self._sets.missing(policy):
            return None
        return next((g for g in (0, 1) if not self._differing(policy, g)), None)

    def prepare(self, policy: PolicyState) -> tuple[Step, int]:
        """
        Make ready for pods to turn to `policy`; what is in force is not touched.

        Answers what was written and the generation to turn to. An unchanged policy writes nothing.
        """
        if policy is self._settled:
            return Step(), self.generation
        fresh = self._sets.missing(policy)
        differing = self._differing(policy, self.generation)
        if not fresh and not differing and not self.mixed:
            return Step(), self.generation
        step = self._sets.write(fresh)
        changed = self._fill(differing | self._lagging if self._settled else {*self._ids, *policy.classes}, policy)
        self._classes.write(changed)
        return step + Step(len(changed)), 1 - self.generation

    def turned(self, generation: int) -> None:
        """Every pod looks at `generation` now."""
        self.generation = generation
        self.mixed = False

    def settle(self, policy: PolicyState) -> Step:
        """Remove sets and prefixes that `policy` does not have."""
        swept = self._sets.sweep(policy)
        if policy is self._settled:
            return swept
        over = (
            [network for network in self._ids if network not in policy.classes]
            if self._keys_changed(policy)
            else []
        )
        removed = self._classes.remove(encode.class_key(network) for network in over)
        for network in over:
            del self._ids[network]
        self._lagging.difference_update(over)
        self._settled = policy
        return Step(0, removed) + swept

    def _keys_changed(self, policy: PolicyState) -> bool:
        return self._settled is None or len(self._ids) != len(policy.classes)

    # Prefixes of which a generation says something else than the policy, or one says nothing.
    def _differing(self, policy: PolicyState, generation: int) -> set[IPNetwork]:
        if self._settled is not None and generation == self.generation:
            return changed_keys(self._settled.classes, policy.classes)
        held = {network: pair[generation] for network, pair in self._ids.items()}
        return {n for n, identity in policy.classes.items() if held.get(n) != identity} | (
            held.keys() - policy.classes.keys()
        )

    # A new prefix must not change what the generation in use says of its addresses: there it
    # repeats the class of the prefix around it. One that ends keeps its place until pods have turned.
    def _fill(self, candidates: set[IPNetwork], policy: PolicyState) -> dict[bytes, bytes]:
        ids, using = self._ids, self.generation
        lengths = sorted({network.prefixlen for network in (*ids, *policy.classes)} if ids else (), reverse=True)
        changed: list[tuple[IPNetwork, Ids]] = []
        for network in candidates:
            new = policy.classes.get(network)
            if new is None:
                new = ClassId(_around(network, policy.classes, lengths))
            old = ids[network][using] if network in ids else _around(network, ids, lengths, using)
            pair = (old, new) if using == 0 else (new, old)
            if ids.get(network) != pair:
                changed.append((network, pair))
        # longest first: a shorter prefix must not say anything new of addresses below a longer one yet to come
        changed.sort(key=lambda entry: -entry[0].prefixlen)
        ids.update(changed)
        pairs = ((network, ids[network]) for network in candidates if network in ids)
        self._lagging = {network for network, pair in pairs if pair[0] != pair[1]}
        return {encode.class_key(network): encode.class_value(*pair) for network, pair in changed}


def changed_keys(old: Mapping[IPNetwork, ClassId], new: Mapping[IPNetwork, ClassId]) -> set[IPNetwork]:
    """
    Keys whose value is another, or that only one mapping has.

    Told by identity first: compute keeps what did not change, and a network is slow to hash.
    """
    if old is new:
        return set()
    if len(old) == len(new) and all(map(is_, old, new)):
        return set(compress(new, map(ne, old.values(), new.values())))
    before = {id(network): (network, identity) for network, identity in old.items()}
    after = {id(network): (network, identity) for network, identity in new.items()}
    come = {network for key, (network, identity) in after.items() if before.get(key, (None, None))[1] != identity}
    return come | {network for key, (network, _) in before.items() if key not in after}


# What the nearest prefix around this one says, of those lengths that there are at all.
def _around(
    network: IPNetwork,
    classes: Mapping[IPNetwork, ClassId] | Mapping[IPNetwork, Ids],
    lengths: Sequence[int],
    at: int = -1,
) -> int:
    for bits in lengths:
        if bits >= network.prefixlen or not classes:
            continue
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
