"""Policies that would fill the tables: they close the pods that they select, and harm no others."""

from __future__ import annotations

import pytest

from tests.unit.compute.towns import NODE, Town, attachments, policy
from twinway.compute.policy import sides
from twinway.compute.policy.policies import PolicyMemo, compile_policies
from twinway.model.policy import Direction

WEB = "{matchLabels: {app: web}}"


def ports(count: int) -> str:
    """So many ports, no two of them neighbours."""
    return "[" + ", ".join(f"{{port: {1 + 2 * number}}}" for number in range(count)) + "]"


def enormous(count: int) -> str:
    """A policy for the web pods of the shop with so many ports."""
    return policy("big", f"{{podSelector: {WEB}, ingress: [{{ports: {ports(count)}}}]}}")


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "ROWS", 100)


def test_as_many_ports_as_can_be_borne_are_borne() -> None:
    """Each of them is open, its neighbours are not."""
    town = Town(enormous(100))
    assert town.unusable == ()
    assert town.ingress("shop/web", "8.8.8.8", 199)
    assert not town.ingress("shop/web", "8.8.8.8", 200)


def test_too_many_ports_close_the_direction() -> None:
    """All is denied there, by a rule that says so; the other direction and other pods are as they were."""
    town = Town(enormous(101), policy("open", "{podSelector: {}, ingress: [{}]}"))
    assert [(each.ref.name, each.field) for each in town.unusable] == [("big", "spec.ingress")]
    assert "closed in this direction" in town.unusable[0].reason
    assert not town.ingress("shop/web", "8.8.8.8", 1)
    assert town.rule("shop/web", Direction.INGRESS, "8.8.8.8", 1) == "NetworkPolicy shop/big: too large"
    assert town.egress("shop/web", "8.8.8.8")
    assert town.ingress("shop/api", "8.8.8.8")


def test_too_many_entries_close_the_direction_until_there_are_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is what the classes in use make of the rules; the memo says the same as from scratch."""
    web = f"{{from: [{{namespaceSelector: {{}}, podSelector: {WEB}}}], ports: {ports(10)}}}"
    spec = policy("p", f"{{podSelector: {WEB}, ingress: [{web}, {{from: [{{podSelector: {{}}}}]}}]}}")
    few, many = Town(spec, without=["bank/web", "dev/web"]), Town(spec)
    entries = [entry for each in few.compiled[0].sets.values() for entry in each.entries]
    monkeypatch.setattr(sides, "LIMIT", sum(entry.direction is Direction.INGRESS for entry in entries))
    memo = PolicyMemo()
    for town, closed in ((few, False), (many, True), (few, False)):
        compiled = memo.compile(town.cluster, NODE, attachments(town.cluster))
        assert compiled == compile_policies(town.cluster, NODE, attachments(town.cluster))
        assert bool(compiled[3]) is closed
