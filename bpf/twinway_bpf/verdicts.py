"""
The verdicts of policy sets in the kernel: written whole before anybody turns to them, swept after.

A set's id is its content, so a set is either there, or has to be written; it is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from twinway.errors import MapError
from twinway.model.node import PolicySet, PolicySetId, PolicyState
from twinway_bpf import encode
from twinway_bpf.maps import Map
from twinway_bpf.sync import Step

SWEPT_AT_ONCE = 1024
"""
Entries of sets that are over which one step removes at least: a trie has no batch for it, and nobody waits.

A step that wrote many removes twice as many, so that what is over never outgrows what is in use.
"""


class VerdictSets:
    """tw_verdict, set by set."""

    def __init__(self, table: Map) -> None:
        """The open map."""
        self._table = table
        self._whole: dict[PolicySetId, list[bytes]] = {}
        self._found: dict[PolicySetId, dict[bytes, bytes]] = {}  # left by an earlier process, perhaps not whole
        self._over: dict[PolicySetId, list[bytes]] = {}  # being swept
        self._written = 0  # since the last sweep

    def adopt(self) -> None:
        """Read back what an earlier process left."""
        self._whole, self._found, self._over = {}, {}, {}
        for key, value in self._table.entries().items():
            self._found.setdefault(encode.verdict_set(key), {})[key] = value

    def missing(self, policy: PolicyState) -> list[PolicySet]:
        """Sets of `policy` that have to be written: new ones, and those of which but a part is there."""
        return [policy_set for policy_set in policy.sets.values() if not self._is_whole(policy_set)]

    def write(self, sets: Sequence[PolicySet]) -> Step:
        """Write sets that were missing. A full table is swept, and tried once more."""
        entries: dict[bytes, bytes] = {}
        for policy_set in sets:
            entries.update(encode.verdicts(policy_set))
        try:
            self._table.write(entries)
        except MapError:
            if not self._over:
                raise
            self._sweep(sum(map(len, self._over.values())))
            self._table.write(entries)
        for policy_set in sets:
            self._found.pop(policy_set.id, None)
            self._over.pop(policy_set.id, None)
            self._whole[policy_set.id] = [key for key, _ in encode.verdicts(policy_set)]
        self._written += len(entries)
        return Step(len(entries))

    def sweep(self, policy: PolicyState) -> Step:
        """Remove some of what belongs to no set of `policy`; the next calls go on."""
        for identity in [identity for identity in self._whole if identity not in policy.sets]:
            self._over[identity] = self._whole.pop(identity)
        for identity in list(self._found):
            self._over[identity] = list(self._found.pop(identity))
        most = max(SWEPT_AT_ONCE, 2 * self._written)
        self._written = 0
        return Step(0, self._sweep(most))

    def _is_whole(self, policy_set: PolicySet) -> bool:
        identity = policy_set.id
        if identity in self._whole:
            return True
        if identity not in self._found or self._found[identity] != dict(encode.verdicts(policy_set)):
            return False
        self._whole[identity] = list(self._found.pop(identity))
        return True

    def _sweep(self, most: int) -> int:
        removed = 0
        for identity in list(self._over):
            keys = self._over[identity]
            now, later = keys[: most - removed], keys[most - removed :]
            removed += self._table.remove(now)
            if later:
                self._over[identity] = later
                break
            del self._over[identity]
        return removed
