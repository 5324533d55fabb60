"""The tables of a computed state, for the walk of `model/walk.py`: `explain` and tests ask them."""

from __future__ import annotations

from twinway.compute.classes.longest import LongestMatch
from twinway.model import walk
from twinway.model.net import IPAddress
from twinway.model.node import NO_CLASS, ClassId, PolicySetId, PolicyState, Verdict
from twinway.model.policy import Direction
from twinway.model.walk import VerdictKey

PORT_BITS = 16


class Tables:
    """The tables of a state, indexed so that many questions can be asked."""

    def __init__(self, state: PolicyState) -> None:
        """Index `state`."""
        self._classes = LongestMatch(state.classes)
        self._entries: dict[VerdictKey, dict[tuple[int, int], Verdict]] = {}
        for policy in state.sets.values():
            for entry in policy.entries:
                key = (policy.id, entry.direction, entry.address_class, entry.protocol)
                self._entries.setdefault(key, {})[entry.bits, entry.port] = entry.verdict

    def class_of(self, address: IPAddress) -> ClassId:
        """The class of an address, 0 where the table has none."""
        return self._classes.find(address) or NO_CLASS

    def entry(self, key: VerdictKey, port: int) -> Verdict | None:
        """The verdict of the longest port prefix that holds `port`, None where there is none."""
        prefixes = self._entries.get(key, {})
        for bits in range(PORT_BITS, -1, -1):
            found = prefixes.get((bits, port >> (PORT_BITS - bits) << (PORT_BITS - bits)))
            if found is not None:
                return found
        return None

    def verdict(
        self, policy: PolicySetId, direction: Direction, peer: IPAddress, protocol: int, port: int
    ) -> Verdict:
        """The verdict of a policy set on a new connection, as `walk.verdict` has it."""
        return walk.verdict(self, policy, direction, peer, protocol, port)
