"""
What the compiled tables say, walked exactly as the kernel walks them: for `explain`, and for tests.

Two look-ups, both for the longest match: address → class, then set, direction, class, protocol and
port → verdict; a class without entries has those of class 0. What is not found is denied.
"""

from __future__ import annotations

from twinway.compute.classes.longest import LongestMatch
from twinway.model.net import IPAddress, Protocol
from twinway.model.node import (
    NO_CLASS,
    NO_POLICY,
    Action,
    ClassId,
    PolicySetId,
    PolicyState,
    RuleId,
    Verdict,
    VerdictEntry,
)
from twinway.model.policy import Direction

NO_RULE = RuleId(0)
"""Rule of a verdict that no entry made."""
UNLIMITED = Verdict(Action.ALLOW, NO_RULE)
"""The verdict on everything for a pod without a policy set."""
MISSED = Verdict(Action.DENY, NO_RULE)
"""The verdict where a table has no answer."""

PORT_BITS = 16
_KNOWN = frozenset(protocol.number for protocol in Protocol)
_Group = tuple[PolicySetId, Direction, ClassId]


class Tables:
    """The tables of a state, indexed so that many questions can be asked."""

    def __init__(self, state: PolicyState) -> None:
        """Index `state`."""
        self._classes = LongestMatch(state.classes)
        self._entries: dict[_Group, dict[tuple[int, int, int], VerdictEntry]] = {}
        for policy in state.sets.values():
            for entry in policy.entries:
                group = self._entries.setdefault((policy.id, entry.direction, entry.address_class), {})
                group[entry.protocol, entry.bits, entry.port] = entry

    def class_of(self, address: IPAddress) -> ClassId:
        """The class of an address, 0 where the table has none."""
        return self._classes.find(address) or NO_CLASS

    def verdict(
        self, policy: PolicySetId, direction: Direction, peer: IPAddress, protocol: int, port: int
    ) -> Verdict:
        """
        What a set says to a new connection with `peer`: the client for INGRESS, the server for EGRESS.

        `protocol` is an IANA number; `port` is the server's, and without meaning for other protocols
        than TCP, UDP and SCTP.
        """
        if policy == NO_POLICY:
            return UNLIMITED
        known = protocol in _KNOWN
        group = self._entries.get((policy, direction, self.class_of(peer)))
        if group is None:
            group = self._entries.get((policy, direction, NO_CLASS), {})
        for bits in range(PORT_BITS, -1, -1):
            prefix = (port if known else 0) >> (PORT_BITS - bits) << (PORT_BITS - bits)
            entry = group.get((protocol if known else 0, bits, prefix))
            if entry is not None:
                return entry.verdict
        return MISSED
