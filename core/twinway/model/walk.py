"""
The walk of compiled policy, as the programs make it: for `explain`, for tests, and for silent sockets.

    address → class (longest prefix), then (set, direction, class, protocol, port) → verdict and rule

A class without entries has those of class 0. What is found nowhere is denied. The tables may be a
state's or the kernel's: each gives the two look-ups. `kernel/policy.h` is the same walk in C.
"""

from __future__ import annotations

from typing import Protocol as Interface

from twinway.model.net import IPAddress, Protocol
from twinway.model.node import NO_CLASS, NO_POLICY, Action, ClassId, PolicySetId, RuleId, Verdict
from twinway.model.policy import Direction

NO_RULE = RuleId(0)
"""Rule of a verdict that no entry made."""
UNLIMITED = Verdict(Action.ALLOW, NO_RULE)
"""The verdict on everything for a pod without a policy set."""
MISSED = Verdict(Action.DENY, NO_RULE)
"""The verdict where a table has no answer."""

OTHER = 0
"""Stands for every protocol but TCP, UDP and SCTP; it has no ports."""
_KNOWN = frozenset(protocol.number for protocol in Protocol)

VerdictKey = tuple[PolicySetId, Direction, ClassId, int]
"""Policy set, direction, class of the peer, protocol."""


class PolicyTables(Interface):
    """The two look-ups, both for the longest match."""

    def class_of(self, address: IPAddress) -> ClassId:
        """The class of an address, 0 where no prefix holds it."""

    def entry(self, key: VerdictKey, port: int) -> Verdict | None:
        """The verdict of the longest port prefix that holds `port`, None where there is none."""


def verdict(  # noqa: PLR0913, PLR0917 (the five parts of the key)
    tables: PolicyTables, policy: PolicySetId, direction: Direction, peer: IPAddress, protocol: int, port: int
) -> Verdict:
    """
    The verdict of a policy set on a new connection with `peer`: the client for INGRESS, the server for EGRESS.

    `protocol` is an IANA number; `port` is the server's, and without meaning for other protocols
    than TCP, UDP and SCTP.
    """
    if policy == NO_POLICY:
        return UNLIMITED
    if protocol not in _KNOWN:
        protocol, port = OTHER, 0
    address_class = tables.class_of(peer)
    found = tables.entry((policy, direction, address_class, protocol), port)
    if found is None and address_class != NO_CLASS:
        found = tables.entry((policy, direction, NO_CLASS, protocol), port)
    return MISSED if found is None else found
