"""Entries in groups are the same entries."""

from __future__ import annotations

from hypothesis import given, settings

from tests.unit.compute.policy.test_policy_memo import Step, histories
from tests.unit.compute.sample_clusters import NODE
from twinway.compute.policy.policies import PolicyMemo
from twinway.model.verdicts import GroupedEntries


@settings(max_examples=20, deadline=None)
@given(histories())
def test_groups_are_the_same_entries(history: list[Step]) -> None:
    """Taken one by one, counted, compared, and put into groups again."""
    memo = PolicyMemo()
    for snapshot, attached in history:
        for policy in memo.compile(snapshot, NODE, attached)[0].sets.values():
            single = tuple(policy.entries)
            assert len(policy.entries) == len(single)
            assert policy.entries == single
            assert hash(policy.entries) == hash(single)
            assert policy.entries == GroupedEntries.of(single)
            assert GroupedEntries.of(policy.entries) == policy.entries
