"""Policies that would fill the tables: they close the pods that they select, and harm no others."""

from __future__ import annotations

import pytest

from tests.unit.compute.sample_clusters import NODE, Sample, attachments, policy
from twinway.compute.policy import directions
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
    monkeypatch.setattr(directions, "ROWS", 100)


def test_as_many_ports_as_can_be_borne_are_borne() -> None:
    """Each of them is open, its neighbours are not."""
    sample = Sample(enormous(100))
    assert sample.unusable == ()
    assert sample.ingress("shop/web", "8.8.8.8", 199)
    assert not sample.ingress("shop/web", "8.8.8.8", 200)


def test_too_many_ports_close_the_direction() -> None:
    """All is denied there, by a rule that says so; the other direction and other pods are as they were."""
    sample = Sample(enormous(101), policy("open", "{podSelector: {}, ingress: [{}]}"))
    assert [(each.ref.name, each.field) for each in sample.unusable] == [("big", "spec.ingress")]
    assert "closed in this direction" in sample.unusable[0].reason
    assert not sample.ingress("shop/web", "8.8.8.8", 1)
    assert sample.rule("shop/web", Direction.INGRESS, "8.8.8.8", 1) == "NetworkPolicy shop/big: too large"
    assert sample.egress("shop/web", "8.8.8.8")
    assert sample.ingress("shop/api", "8.8.8.8")


def test_too_many_entries_close_the_direction_until_there_are_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is what the classes in use make of the rules; the memo says the same as from scratch."""
    web = f"{{from: [{{namespaceSelector: {{}}, podSelector: {WEB}}}], ports: {ports(10)}}}"
    spec = policy("p", f"{{podSelector: {WEB}, ingress: [{web}, {{from: [{{podSelector: {{}}}}]}}]}}")
    few, many = Sample(spec, without=["bank/web", "dev/web"]), Sample(spec)
    entries = [entry for each in few.compiled[0].sets.values() for entry in each.entries]
    monkeypatch.setattr(directions, "LIMIT", sum(entry.direction is Direction.INGRESS for entry in entries))
    memo = PolicyMemo()
    for sample, closed in ((few, False), (many, True), (few, False)):
        compiled = memo.compile(sample.cluster, NODE, attachments(sample.cluster))
        assert compiled == compile_policies(sample.cluster, NODE, attachments(sample.cluster))
        assert bool(compiled[3]) is closed
