"""The walk of the tables, on tables made by hand."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from twinway.compute.policy.evaluate import Tables
from twinway.model.node import (
    NO_CLASS,
    NO_POLICY,
    Action,
    ClassId,
    PolicySet,
    PolicySetId,
    PolicyState,
    RuleId,
    Verdict,
    VerdictEntry,
)
from twinway.model.policy import Direction
from twinway.model.walk import MISSED, NO_RULE, UNLIMITED

SET, FRIENDS = PolicySetId(7), ClassId(5)
ALLOW, DENY = Verdict(Action.ALLOW, RuleId(1)), Verdict(Action.DENY, RuleId(2))
HERE = Direction.INGRESS


def entry(id_: ClassId, protocol: int, port: int, bits: int, verdict: Verdict) -> VerdictEntry:
    """An ingress entry."""
    return VerdictEntry(HERE, id_, protocol, port, bits, verdict)


TABLES = Tables(
    PolicyState(
        sets={
            SET: PolicySet(
                SET,
                (
                    entry(NO_CLASS, 6, 0, 0, DENY),
                    entry(NO_CLASS, 6, 443, 16, ALLOW),
                    entry(NO_CLASS, 0, 0, 0, DENY),
                    entry(FRIENDS, 6, 0, 0, ALLOW),
                    entry(FRIENDS, 6, 0x50, 12, DENY),
                    entry(FRIENDS, 6, 0x50, 16, ALLOW),
                    entry(FRIENDS, 0, 0, 0, ALLOW),
                ),
            )
        },
        classes={
            ip_network("10.0.0.0/8"): FRIENDS,
            ip_network("10.1.0.0/16"): ClassId(6),
            ip_network("10.1.1.1/32"): FRIENDS,
        },
    )
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.2.0.1", FRIENDS),
        ("10.1.0.1", ClassId(6)),
        ("10.1.1.1", FRIENDS),
        ("8.8.8.8", NO_CLASS),
        ("::1", NO_CLASS),
    ],
)
def test_the_longest_prefix_names_the_class(address: str, expected: ClassId) -> None:
    """Of one family; where no prefix holds the address it is class 0."""
    assert TABLES.class_of(ip_address(address)) == expected


@pytest.mark.parametrize(
    ("address", "protocol", "port", "expected"),
    [
        ("10.0.0.1", 6, 1, ALLOW),
        ("10.0.0.1", 6, 0x51, DENY),
        ("10.0.0.1", 6, 0x50, ALLOW),
        ("10.0.0.1", 6, 0x5F, DENY),
        ("10.0.0.1", 6, 0x60, ALLOW),
        ("10.1.0.1", 6, 443, ALLOW),
        ("10.1.0.1", 6, 80, DENY),
        ("8.8.8.8", 6, 443, ALLOW),
    ],
)
def test_the_longest_port_prefix_decides(address: str, protocol: int, port: int, expected: Verdict) -> None:
    """In the address's class, or in class 0 where that has no entries."""
    assert TABLES.verdict(SET, HERE, ip_address(address), protocol, port) == expected


def test_other_protocols_share_one_entry() -> None:
    """ICMP, GRE and the like; their "port" has no meaning."""
    assert TABLES.verdict(SET, HERE, ip_address("10.0.0.1"), 1, 0x50) == ALLOW
    assert TABLES.verdict(SET, HERE, ip_address("8.8.8.8"), 47, 0) == DENY


def test_what_is_not_found_is_denied() -> None:
    """A protocol, a direction or a set without entries; and a class with some does not borrow from class 0."""
    assert TABLES.verdict(SET, HERE, ip_address("10.0.0.1"), 17, 53) == MISSED
    assert TABLES.verdict(SET, Direction.EGRESS, ip_address("10.0.0.1"), 6, 80) == MISSED
    assert TABLES.verdict(PolicySetId(8), HERE, ip_address("10.0.0.1"), 6, 80) == MISSED
    assert Verdict(Action.DENY, NO_RULE) == MISSED


def test_without_a_set_everything_is_allowed() -> None:
    """No table is asked."""
    assert TABLES.verdict(NO_POLICY, HERE, ip_address("8.8.8.8"), 6, 80) == UNLIMITED
    assert UNLIMITED.action is Action.ALLOW
